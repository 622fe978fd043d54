"""What stays in a cache of two halves, and that it keeps its bound."""

from __future__ import annotations

from sidecar.halves_cache import HalvesCache


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
