"""Which sources are read again without parsing: only those whose bytes the answer itself holds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.opensearch.known_sources import KnownSource, KnownSources
from sidecar.opensearch.search_response import SearchResponse, read_search_response

_words = st.sampled_from(["", "a", "é", "}", '"', "\\", "},{", "\ud800", "1"])
_sources = st.dictionaries(
    _words, st.one_of(_words, st.integers(0, 9), st.lists(_words, max_size=2)), max_size=2
)


def answer(*sources: object, ids: str = "", **more: Any) -> bytes:
    hits = [
        {"_index": "i", "_id": id, "_score": 1.5, "_source": source, **more}
        for id, source in zip(ids or "0123456789", sources, strict=False)
    ]
    body = json.dumps({"hits": {"hits": hits}}, separators=(",", ":"), ensure_ascii=False)
    return body.encode("utf-8", "surrogatepass")


def read(body: bytes, known: KnownSources | None) -> SearchResponse:
    return read_search_response(body, known=known)


@given(
    st.lists(st.tuples(st.lists(_sources, max_size=3), st.sampled_from([{}, {"sort": [1]}]))),
    st.sampled_from(["012", "000", "210"]),
)
def test_every_answer_is_read_as_without_memory(
    answers: list[tuple[list[dict[str, Any]], dict[str, Any]]], ids: str
) -> None:
    known = KnownSources(1 << 20)
    for sources, more in answers:
        body = answer(*sources, ids=ids, **more)
        assert read(body, known) == read(body, None)


def test_the_same_bytes_are_parsed_once_and_changed_ones_again() -> None:
    known = KnownSources(1 << 20)
    first = read(answer({"a": [1, 2]}), known).hits[0].source
    assert read(answer({"a": [1, 2]}), known).hits[0].source is first
    assert read(answer({"a": [1, 2, 3]}), known).hits[0].source == {"a": [1, 2, 3]}


def test_the_memory_has_a_bound_and_large_sources_are_not_in_it() -> None:
    known = KnownSources(100_000)
    for number in range(500):
        known.keep("i", str(number), KnownSource("{" + "x" * 200 + "}", {}))
        assert known.held_bytes <= 100_000
    assert len(known) < 120
    known.keep("i", "large", KnownSource("[" * 20, {}))
    assert known.find("i", "large") is None
