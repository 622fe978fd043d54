"""A cache with a bound: what it returns, what it removes, and how it counts."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bounded_cache import BoundedCache


def test_the_least_recently_used_values_are_removed() -> None:
    cache = BoundedCache[str, int](3)
    for number, key in enumerate("abc"):
        assert cache.put(key, number) == ()
    assert cache.get("a") == 0
    assert "b" in cache, "a check is no use of a value"
    assert cache.put("d", 3) == (("b", 1),)
    assert list(cache) == [("c", 2), ("a", 0), ("d", 3)]
    assert cache.put("e", 4, size=2) == (("c", 2), ("a", 0))


def test_a_value_larger_than_the_bound_only_removes_the_old_one() -> None:
    cache = BoundedCache[str, int](3)
    cache.put("a", 0)
    cache.put("b", 1)
    assert cache.put("a", 2, size=4) == ()
    assert list(cache) == [("b", 1)]
    assert cache.get("a") is None
    assert cache.pop("b") == 1
    assert cache.pop("b") is None
    assert (cache.size, len(cache)) == (0, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["get", "put", "pop"]), st.integers(0, 5), st.integers(0, 6))
    )
)
def test_any_uses_agree_with_a_plain_model(uses: list[tuple[str, int, int]]) -> None:
    cache, model = BoundedCache[int, int](10), OrderedDict[int, int]()
    for use, key, size in uses:
        if use == "put":
            cache.put(key, size, size)
            model.pop(key, None)
            model[key] = size
            while sum(model.values()) > 10:
                model.popitem(last=False)
        elif use == "get":
            assert cache.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        else:
            assert cache.pop(key) == model.pop(key, None)
        assert list(cache) == list(model.items())
        assert cache.size == sum(model.values()) <= 10
