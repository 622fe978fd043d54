"""What stays in a cache of two halves, and that it keeps its bound."""

from __future__ import annotations

import random

import pytest

from sidecar.halves_cache import _LEAVING, HalvesCache


def test_what_is_used_stays_and_the_bound_holds() -> None:
    cache = HalvesCache[int, str](20)
    for number in range(100):
        cache.put(number, f"value {number}", 2)
        assert cache.get(0) == "value 0"
        assert cache.get(number) == f"value {number}"
        assert cache.size <= 20
    assert cache.get(50) is None
    assert len(cache) <= 10


def test_a_new_value_takes_the_place_of_the_old_one() -> None:
    cache = HalvesCache[str, int](100)
    for value in range(1000):
        cache.put("a", value, 10)
    assert cache.get("a") == 999
    assert cache.size == 10


def test_a_value_larger_than_a_half_is_not_stored() -> None:
    cache = HalvesCache[str, int](100)
    cache.put("a", 1, 51)
    assert cache.get("a") is None
    assert cache.size == 0


class Alive:
    """The number and the total size of values that are not freed yet."""

    def __init__(self) -> None:
        self.values = 0
        self.size = 0


class Value:
    """A value that tells when it is freed."""

    def __init__(self, alive: Alive, size: int, number: int = 0) -> None:
        self.number = number
        self._alive, self._size = alive, size
        alive.values += 1
        alive.size += size

    def __del__(self) -> None:
        self._alive.values -= 1
        self._alive.size -= self._size


@pytest.mark.parametrize("used", [0, 1, 200], ids=["none used", "one used", "many used"])
def test_a_forgotten_half_leaves_bit_by_bit(used: int) -> None:
    cache = HalvesCache[int, Value](1000)
    alive = Alive()
    freed: list[int] = []
    for number in range(5000):
        before = alive.values
        cache.put(number, Value(alive, 1), 1)
        freed.append(before + 1 - alive.values)
        # What is used is put in again, and that frees others.
        for key in range(min(used, number)):
            before = alive.values
            assert cache.get(key) is not None
            freed.append(before - alive.values)
        assert cache.size <= 1000
    assert 0 < max(freed) <= _LEAVING
    assert sum(freed) > 3000


def test_the_bound_holds_for_values_of_all_sizes_and_the_newest_stays() -> None:
    draw = random.Random(7)
    cache = HalvesCache[int, Value](1000)
    alive = Alive()
    newest: dict[int, int] = {}
    for number in range(20_000):
        key, size = draw.randrange(300), draw.choice([1, 5, 40, 400])
        cache.put(key, Value(alive, size, number), size)
        newest[key] = number
        # Of all that is still in memory, not only of what is counted.
        assert alive.size <= cache.size <= 1000
        asked = draw.randrange(300)
        value = cache.get(asked)
        assert value is None or value.number == newest[asked]
        del value
    assert len(cache) > 0
