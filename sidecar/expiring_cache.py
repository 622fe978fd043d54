"""A bounded cache whose values expire, and belong to owners."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from sidecar.bounded_cache import BoundedCache

_V = TypeVar("_V")


class CachedValue(NamedTuple):
    """A value with its owner, and when it expires in seconds of the machine's monotonic clock."""

    value: Any
    owner: bytes
    expires: float


class OtherCaches(Protocol):
    """Caches of the same kinds in the other workers of this process's parent."""

    @property
    def exist(self) -> bool:
        """Whether there are other workers."""
        ...

    def offer(self, kind: str, find: Callable[[bytes], CachedValue | None]) -> None:
        """Let the others find values of this process, in place of what was offered before."""
        ...

    async def find(self, kind: str, key: bytes) -> CachedValue | None:
        """The newest value that another worker has; None if none answers in a tenth of a second."""
        ...


class NoOtherCaches:
    """What a process has that is no worker."""

    @property
    def exist(self) -> bool:
        """False."""
        return False

    def offer(self, kind: str, find: Callable[[bytes], CachedValue | None]) -> None:
        """There is nobody to find them."""

    async def find(self, kind: str, key: bytes) -> CachedValue | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class _Entry(Generic[_V]):
    value: _V
    owner: bytes
    expires: float


class ExpiringCache(Generic[_V]):
    """Values that expire after `seconds`; the least recently used are removed before that if they
    exceed `max_bytes`. Belongs to one event loop."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._entries = BoundedCache[bytes, _Entry[_V]](max_bytes)
        self._keys_of: dict[bytes, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def held_bytes(self) -> int:
        """About how much memory the values take; never more than the bound."""
        return self._entries.size

    def find(self, key: bytes) -> _V | None:
        """The value of this key; None if there is none or it has expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= time.monotonic():
            self.forget(key)
            return None
        return entry.value

    def find_entry(self, key: bytes) -> CachedValue | None:
        """The value of this key with its owner, as another cache stores it."""
        value = self.find(key)
        entry = self._entries.get(key)
        return (
            None
            if value is None or entry is None
            else CachedValue(value, entry.owner, entry.expires)
        )

    def put(
        self, key: bytes, owner: bytes, value: _V, size: int, expires: float | None = None
    ) -> None:
        """Store a value in place of the key's old one, unless it is larger than the bound.

        `expires`: in seconds of the monotonic clock; by the cache's own seconds if omitted.
        """
        self.forget(key)
        if size > self._entries.max_size or self._seconds <= 0:
            return
        entry = _Entry(value, owner, expires or time.monotonic() + self._seconds)
        self._keys_of.setdefault(owner, set()).add(key)
        for old_key, old_entry in self._entries.put(key, entry, size):
            self._disown(old_key, old_entry.owner)

    async def catch_up(self, others: OtherCaches, kind: str, key: bytes) -> None:
        """Take over the value that another worker has, if it is newer; it has a `size`."""
        other = await others.find(kind, key)
        mine = self.find_entry(key)
        if other is not None and (mine is None or mine.expires < other.expires):
            self.put(key, other.owner, other.value, other.value.size, other.expires)

    def forget(self, key: bytes) -> None:
        """Remove the value of this key, if there is one."""
        entry = self._entries.pop(key)
        if entry is not None:
            self._disown(key, entry.owner)

    def forget_owner(self, owner: bytes) -> None:
        """Remove all values of one owner."""
        for key in tuple(self._keys_of.get(owner, ())):
            self.forget(key)

    def forget_where(self, condition: Callable[[_V], bool]) -> None:
        """Remove the values for which the condition is true."""
        for key in [key for key, entry in self._entries if condition(entry.value)]:
            self.forget(key)

    def _disown(self, key: bytes, owner: bytes) -> None:
        keys = self._keys_of[owner]
        keys.remove(key)
        if not keys:
            del self._keys_of[owner]
