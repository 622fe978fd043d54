"""The body that the JSON APIs share: no input gets past the reader but a request or a refusal."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rerank.refusals import Refusal
from sidecar.rerank.request import RerankRequest, parse_object, read_request
from sidecar.rerank.tei import read_tei

MEMBERS = (
    "query documents texts top_n top_k return_documents raw_scores model rank_fields "
    "max_tokens_per_doc return_text"
).split()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def cause_of(read: Callable[[Any], RerankRequest | dict[str, Any]], content: object) -> str | None:
    """The cause of the refusal, None when there is none."""
    try:
        read(content)
    except Refusal as refusal:
        return refusal.cause
    return None


@pytest.mark.parametrize("read", [read_request, read_tei])
@given(body=st.dictionaries(st.sampled_from(MEMBERS), values))
def test_any_members_are_read_or_refused(
    read: Callable[[Any], RerankRequest], body: dict[str, Any]
) -> None:
    assert cause_of(read, body) in (None, "missing", "malformed", "invalid")


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(content: bytes) -> None:
    assert cause_of(parse_object, content) in (None, "malformed")


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse_object(b"\xef\xbb\xbf{}") == {}


def read(**members: Any) -> RerankRequest:
    return read_request({"query": "q", "documents": ["a"]} | members)


def test_an_object_is_ranked_by_its_fields_in_their_order() -> None:
    document = {"title": "T", "text": "X", "year": 1999, "missing": None}
    assert read(documents=[document]).documents == ("X",)
    fields = ["year", "missing", "title"]
    request = read(documents=[document, "plain"], rank_fields=fields)
    assert request.documents == ("1999\nT", "plain")
    assert request.given == (document, "plain")


def test_the_smaller_of_both_counts_is_meant() -> None:
    assert read(top_n=3, top_k=2).top_n == 2
    assert read(top_n=None).top_n is None


def test_null_is_absent() -> None:
    nothing = dict.fromkeys(("top_n", "top_k", "return_documents", "model", "rank_fields"))
    assert read(**nothing) == read()
    with pytest.raises(Refusal, match="query is required"):
        read(query=None)


def test_a_document_is_cut_on_request() -> None:
    words = "one two three, four"
    assert read(documents=[words], max_tokens_per_doc=3).documents == ("one two three",)
    assert read(documents=[words], max_tokens_per_doc=99).documents == (words,)


def test_json_escapes_may_hold_half_a_character() -> None:
    body = parse_object(rb'{"query": "\ud800", "documents": ["\udfff"]}')
    assert json.loads(json.dumps(read_request(body).given)) == ["\udfff"]
