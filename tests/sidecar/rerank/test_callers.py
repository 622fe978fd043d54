"""Bearer keys and the rate of requests."""

import pytest

from sidecar.rerank.callers import ANONYMOUS, RateLimit, find_bearer
from sidecar.rerank.refusals import Refusal


def test_keys() -> None:
    keys = {"shop": "k1", "wiki": "ключ"}
    assert find_bearer({}, None) == ANONYMOUS
    assert find_bearer({}, "Bearer whatever") == ANONYMOUS
    assert find_bearer(keys, "Bearer k1") == "shop"
    # Header bytes that are not ASCII arrive as surrogates or as UTF-8.
    assert find_bearer(keys, "Bearer ключ") == "wiki"
    assert find_bearer(keys, "Bearer " + "ключ".encode().decode("ascii", "surrogateescape"))
    for wrong in (None, "", "Bearer", "Bearer k", "Bearer k11", "Token k1", "k1"):
        with pytest.raises(Refusal) as caught:
            find_bearer(keys, wrong)
        assert caught.value.cause == "unauthorized"
        assert "k1" not in caught.value.message


def test_a_bucket_holds_a_seconds_worth_and_fills_steadily() -> None:
    now = [100.0]
    limit = RateLimit(2, lambda: now[0])
    limit.take("a")
    limit.take("a")
    limit.take("b")
    with pytest.raises(Refusal) as caught:
        limit.take("a")
    assert (caught.value.cause, caught.value.retry_after_s) == ("rate", 1)
    now[0] += 0.5
    limit.take("a")
    with pytest.raises(Refusal):
        limit.take("a")
    now[0] += 1000
    limit.take("a")
    limit.take("a")
    with pytest.raises(Refusal):
        limit.take("a")


def test_less_than_one_a_second() -> None:
    now = [0.0]
    limit = RateLimit(0.1, lambda: now[0])
    limit.take("a")
    with pytest.raises(Refusal) as caught:
        limit.take("a")
    assert caught.value.retry_after_s == 10
    now[0] = 10.0
    limit.take("a")


def test_no_limit() -> None:
    limit = RateLimit(0)
    for _ in range(1000):
        limit.take("a")
