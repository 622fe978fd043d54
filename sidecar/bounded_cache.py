"""A cache with a bound on the total size of its values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values by key. When they exceed the bound, the least recently used ones are removed.

    Sizes may have any unit: bytes, characters, or 1 for each value. The cache has no lock: code
    that uses it in several threads needs one of its own.
    """

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.size = 0
        """The total size of all values; never more than `max_size`."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        """Whether there is a value for the key; this does not count as use."""
        return key in self._entries

    def __iter__(self) -> Iterator[tuple[K, V]]:
        """Keys and values, the least recently used first; this does not count as use."""
        for key, (value, _) in self._entries.items():
            yield key, value

    def get(self, key: K) -> V | None:
        """The value of the key, which is now the most recently used; None if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, size: int = 1) -> tuple[tuple[K, V], ...]:
        """Store a value in place of the key's old one, unless it is larger than the whole bound.

        Returns the entries that were removed to make room.
        """
        self.pop(key)
        if size > self.max_size:
            return ()
        self._entries[key] = value, size
        self.size += size
        if self.size <= self.max_size:
            return ()
        removed = []
        while self.size > self.max_size:
            old_key, (old_value, old_size) = self._entries.popitem(last=False)
            self.size -= old_size
            removed.append((old_key, old_value))
        return tuple(removed)

    def pop(self, key: K) -> V | None:
        """Remove the key and return its value; None if there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.size -= entry[1]
        return entry[0]
