"""Which requests make cached hits invalid."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.opensearch.ended_indexes import read_ended_indexes


@pytest.mark.parametrize(
    ("method", "target", "ended"),
    [
        ("DELETE", "/docs", {"docs"}),
        ("DELETE", "/docs/?timeout=1s", {"docs"}),
        ("DELETE", "//docs", {"docs"}),
        ("DELETE", "/docs,more", {"docs", "more"}),
        ("DELETE", "/docs%2Cmore", {"docs", "more"}),
        ("DELETE", "/d*", {"docs", "docs-1"}),
        ("DELETE", "/*", {"docs", "docs-1", "more"}),
        ("DELETE", "/_all", {"docs", "docs-1", "more"}),
        ("DELETE", "/docs*,-docs-1", {"docs", "docs-1", "more"}),
        ("DELETE", "/%3Cdocs-%7Bnow%2Fd%7D%3E", {"docs", "docs-1", "more"}),
        ("DELETE", "/docs%2", {"docs", "docs-1", "more"}),
        ("DELETE", "/docs/_doc/1", set()),
        ("DELETE", "/_search/scroll", set()),
        ("DELETE", "/_template/docs", set()),
        ("DELETE", "/_data_stream/logs", {"docs", "docs-1", "more"}),
        ("DELETE", "/docs/_alias/now", {"docs", "docs-1", "more"}),
        ("POST", "/docs/_close", {"docs", "docs-1", "more"}),
        ("POST", "/_aliases", {"docs", "docs-1", "more"}),
        ("PUT", "/docs/_alias/now", {"docs", "docs-1", "more"}),
        ("PUT", "/_plugins/_security/api/roles/r", {"docs", "docs-1", "more"}),
        ("GET", "/docs/_alias/now", set()),
        ("POST", "/docs/_bulk", set()),
        ("POST", "/docs/_doc/_close_by", set()),
    ],
)
def test_the_indexes_of_a_request(method: str, target: str, ended: set[str]) -> None:
    found = read_ended_indexes(method.encode(), target.encode(), 200)
    names = ("docs", "docs-1", "more")
    assert {name for name in names if found is not None and found.may_have(name)} == ended
    assert read_ended_indexes(method.encode(), target.encode(), 404) is None


@given(st.integers(1, 1000), st.sampled_from(["*a", "a*", "**", "*a*b"]))
def test_patterns_take_linear_time(count: int, piece: str) -> None:
    ended = read_ended_indexes(b"DELETE", b"/" + piece.encode() * count + b"c", 200)
    began = time.process_time()
    assert ended is not None
    ended.may_have("a" * 255)
    assert time.process_time() - began < 0.05
