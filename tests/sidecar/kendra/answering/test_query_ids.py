"""Query ids look random, and carry the time of the query and a code of its index."""

from __future__ import annotations

import re
import uuid

from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.answering.query_ids import QueryIds, result_id

INDEX = "11111111-2222-4333-8444-555555555555"
KEY = b"a key of these tests"


@given(st.integers(0, 2**32 - 1))
def test_an_id_carries_the_time_of_its_query(now: int) -> None:
    ids = QueryIds(KEY)
    query = ids.new(INDEX, now + 0.5)
    assert uuid.UUID(query).version == 4
    assert re.fullmatch("[a-zA-Z0-9][a-zA-Z0-9-]{35}", query)
    assert ids.given_at(INDEX, query) == now
    assert QueryIds(KEY).given_at(INDEX, query) == now


def test_ids_of_others_are_unknown() -> None:
    ids = QueryIds(KEY)
    query = ids.new(INDEX, 1_700_000_000)
    assert ids.given_at(INDEX.replace("1", "2"), query) is None
    assert QueryIds().given_at(INDEX, query) is None
    assert ids.given_at(INDEX, str(uuid.uuid4())) is None
    assert ids.given_at(INDEX, "no-uuid") is None
    assert ids.given_at(INDEX, query[:-1] + ("0" if query[-1] != "0" else "1")) is None


def test_every_id_is_new() -> None:
    ids = QueryIds(KEY)
    assert len({ids.new(INDEX, 1_700_000_000) for _ in range(1000)}) == 1000


def test_a_results_id_has_its_querys_first() -> None:
    query = QueryIds(KEY).new(INDEX, 0)
    one, same, other = (result_id(query, "DOCUMENT", name) for name in ("a", "a", "b"))
    assert one == same != other
    assert one.startswith(f"{query}-")
    assert len(one) == 73
    assert result_id(query, "ANSWER", "a") != one


def test_a_feedback_token_is_the_results_own() -> None:
    ids = QueryIds(KEY)
    assert ids.feedback_token("a") == QueryIds(KEY).feedback_token("a") != ids.feedback_token("b")
    assert len(ids.feedback_token("a" * 73)) <= 2048
