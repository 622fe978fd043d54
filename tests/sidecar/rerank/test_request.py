"""The body that the JSON APIs share: no input gets past the reader but a request or a refusal."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rerank.nvidia import read_nvidia
from sidecar.rerank.pair_scores import read_pairs
from sidecar.rerank.refusals import Refusal
from sidecar.rerank.request import RerankRequest, parse_object, read_request
from sidecar.rerank.tei import read_tei

MEMBERS = (
    "query documents texts top_n top_k return_documents raw_scores model rank_fields "
    "max_tokens_per_doc return_text passages text_1 text_2 use_activation"
).split()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def cause_of(read: Callable[[Any], Any], content: object) -> str | None:
    """The cause of the refusal, None when there is none."""
    try:
        read(content)
    except Refusal as refusal:
        return refusal.cause
    return None


@pytest.mark.parametrize("read", [read_request, read_tei, read_nvidia, read_pairs])
@given(body=st.dictionaries(st.sampled_from(MEMBERS), values))
def test_any_members_are_read_or_refused(read: Callable[[Any], Any], body: dict[str, Any]) -> None:
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
    assert request.originals == (document, "plain")


def test_metadata_may_be_nested_where_it_is_not_ranked_by() -> None:
    document = {"text": "X", "metadata": {"tags": ["a", {"b": [1, None]}]}, "ids": [1, 2]}
    request = read(documents=[document], return_documents=True)
    assert request.documents == ("X",)
    assert request.originals == (document,)
    for field in ("metadata", "ids"):
        with pytest.raises(Refusal, match=r"documents\[1\] must have plain values in text and"):
            read(documents=["plain", document], rank_fields=["text", field])


def test_levels_of_metadata_are_limited() -> None:
    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels - 1):
            value = [value, "beside"]
        return {"text": "X", "metadata": value}

    assert read(documents=[nested(64)]).documents == ("X",)
    with pytest.raises(Refusal, match=r"documents\[0\] has more than 64 levels"):
        read(documents=[nested(65)])


@pytest.mark.parametrize("query", ["", " \n", "\u200b", "\0", "\ufeff \u00ad"])
def test_a_query_that_nobody_can_see_is_blank(query: str) -> None:
    with pytest.raises(Refusal, match="query must not be blank"):
        read(query=query)


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
    assert json.loads(json.dumps(read_request(body).originals)) == ["\udfff"]


@pytest.mark.parametrize("said", [True, "true", "True", "TRUE"])
def test_a_flag_may_be_a_string(said: object) -> None:
    assert read(return_documents=said, raw_scores="false").return_documents


@pytest.mark.parametrize("count", [3, 3.0, "3"])
def test_a_count_may_be_written_in_other_ways(count: object) -> None:
    assert read(top_n=count).top_n == 3


@pytest.mark.parametrize("nothing", [0, 0.0, "0", -0.0, None])
def test_no_count_means_all(nothing: object) -> None:
    assert read(top_n=nothing, top_k=nothing).top_n is None
    assert read(top_n=nothing, top_k=2).top_n == 2


@pytest.mark.parametrize("count", [3.5, "3.0", "-1", "x", "9" * 12, "\u0663"])
def test_other_counts_are_refused(count: object) -> None:
    with pytest.raises(Refusal):
        read(top_n=count)
    with pytest.raises(Refusal, match="max_tokens_per_doc must be at least 1"):
        read(max_tokens_per_doc=0)


@pytest.mark.parametrize(
    "document",
    [
        {"page_content": "X", "metadata": {"deep": [1]}},
        {"content": "X"},
        {"content": [{"type": "text", "text": "X"}]},
        {"content": ["X"]},
        {"text": None, "content": "X"},
    ],
    ids=str,
)
def test_text_under_other_names_is_ranked_and_also_returned_as_text(
    document: dict[str, Any],
) -> None:
    request = read(documents=[document])
    assert request.documents == ("X",)
    assert request.originals == ({**document, "text": "X"},)
    # A client that names its fields means only these.
    with pytest.raises(Refusal, match=r"documents\[0\] has no title to rank by"):
        read(documents=[document], rank_fields=["title"])


def test_documents_and_queries_under_other_names() -> None:
    assert read_request({"query": "q", "texts": ["a", {"text": "b"}]}).documents == ("a", "b")
    assert read(texts=["b"]).documents == ("a",)
    for query in ({"text": "q"}, {"content": [{"type": "text", "text": "q"}]}):
        assert read(query=query).query == "q"
    with pytest.raises(Refusal, match="documents is required"):
        read_request({"query": "q"})
    nvidia = read_nvidia({"query": {"text": "q"}, "passages": [{"text": "a"}]})
    assert (nvidia.query, nvidia.documents, nvidia.raw_scores) == ("q", ("a",), True)
    with pytest.raises(Refusal, match="passages is required"):
        read_nvidia({"query": "q", "documents": ["a"]})
