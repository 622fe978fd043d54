"""Token buckets: bursts, steady filling, and a bounded number of them."""

import pytest

from sidecar.token_bucket import TokenBuckets


def burst(buckets: TokenBuckets, key: str, rate: float, now: float) -> int:
    """How many requests are let through at one moment."""
    count = 0
    while buckets.take(key, rate, now) == 0:
        count += 1
    return count


@pytest.mark.parametrize(
    ("rate", "size"), [(0.01, 1), (0.999, 1), (1, 1), (2, 2), (250, 250), (10.01, 10)]
)
def test_a_full_bucket_holds_one_second_and_at_least_one_request(rate: float, size: int) -> None:
    buckets = TokenBuckets()
    assert burst(buckets, "a", rate, 50.0) == size
    # However long nobody calls, it holds no more.
    assert burst(buckets, "a", rate, 1e6) == size


@pytest.mark.parametrize("rate", [0.01, 0.5, 1, 2, 7.5, 1000])
def test_it_fills_steadily_and_says_how_long_to_wait(rate: float) -> None:
    buckets = TokenBuckets()
    now = 50.0
    burst(buckets, "a", rate, now)
    for _ in range(5):
        wait = buckets.take("a", rate, now)
        assert 0 < wait <= 1 / rate + 1e-9
        assert buckets.take("a", rate, now + 0.5 * wait) == pytest.approx(0.5 * wait)
        now += 1.001 * wait
        assert buckets.take("a", rate, now) == 0


def test_keys_do_not_share_a_bucket() -> None:
    buckets = TokenBuckets()
    assert burst(buckets, "a", 3, 0.0) == 3
    assert burst(buckets, "b", 3, 0.0) == 3


def test_a_refused_request_takes_nothing() -> None:
    buckets = TokenBuckets()
    burst(buckets, "a", 1, 0.0)
    for tenth in range(1, 10):
        assert buckets.take("a", 1, tenth / 10) > 0
    assert buckets.take("a", 1, 1.001) == 0


def test_a_new_rate_counts_from_the_next_request() -> None:
    buckets = TokenBuckets()
    burst(buckets, "a", 1, 0.0)
    assert buckets.take("a", 0.1, 0.0) == pytest.approx(10)
    assert buckets.take("a", 10, 0.0) == pytest.approx(0.1)


def test_the_bucket_that_was_used_longest_ago_is_forgotten() -> None:
    buckets = TokenBuckets(most=2)
    for key in ("a", "b"):
        burst(buckets, key, 1, 0.0)
    buckets.take("a", 1, 0.0)
    buckets.take("c", 1, 0.0)
    assert buckets.take("a", 1, 0.0) > 0
    assert buckets.take("b", 1, 0.0) == 0
