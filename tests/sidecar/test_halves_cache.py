"""What stays in a cache of two halves, and that it keeps its bound."""

from __future__ import annotations

import random

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


class Counted:
    """A value that tells when it is freed."""

    freed = 0

    def __del__(self) -> None:
        Counted.freed += 1


def test_a_forgotten_half_leaves_bit_by_bit() -> None:
    cache = HalvesCache[int, Counted](1000)
    most = 0
    for number in range(5000):
        before = Counted.freed
        cache.put(number, Counted(), 1)
        most = max(most, Counted.freed - before)
        assert cache.size <= 1000
    assert 0 < most <= _LEAVING
    assert Counted.freed > 3000


def test_the_bound_holds_for_values_of_all_sizes_and_the_newest_stays() -> None:
    draw = random.Random(7)
    cache = HalvesCache[int, int](1000)
    newest: dict[int, int] = {}
    for number in range(20_000):
        key = draw.randrange(300)
        cache.put(key, number, draw.choice([1, 5, 40, 400]))
        newest[key] = number
        assert cache.size <= 1000
        asked = draw.randrange(300)
        assert cache.get(asked) in (None, newest.get(asked))
    assert len(cache) > 0
