"""Reading a search request and widening its window: all reasons to skip, and all bytes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import Plan
from sidecar.config.limits import Limits
from sidecar.opensearch.search_request import (
    SearchRequest,
    list_plan_fields,
    read_search_request,
    widen_window,
)
from sidecar.opensearch.skip_reasons import SKIP_REASONS, Skip
from sidecar.opensearch_rules.request_headers import SearchHeaders
from tests.sidecar.spans.json_texts import space, values

JSON = SearchHeaders(content_type=b"application/json")
PLAN = Plan.model_validate(
    {
        "rescore_window": 50,
        "document": {"title": "title", "body": "text"},
        "stages": [{"model": "m"}],
    }
)
MATCH = b'{"query":{"match":{"title":"red shoes"}}}'


def read(
    target: bytes = b"/i/_search",
    body: bytes = MATCH,
    headers: SearchHeaders = JSON,
    plan: Plan = PLAN,
) -> SearchRequest:
    search = read_search_request(target, body, headers, plan, Limits())
    assert isinstance(search, SearchRequest), search
    return search


def skipped(
    target: bytes = b"/i/_search",
    body: bytes = MATCH,
    headers: SearchHeaders = JSON,
    plan: Plan = PLAN,
) -> str:
    skip = read_search_request(target, body, headers, plan, Limits())
    assert isinstance(skip, Skip), skip
    assert skip.reason in SKIP_REASONS
    return skip.reason


def test_a_plain_search() -> None:
    search = read()
    assert search.query_text == "red shoes"
    assert (search.start, search.size, search.fetch) == (0, 10, 50)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"authorization": b"AWS4-HMAC-SHA256 Credential=x"}, "signed"),
        ({"x_amz_content_sha256": b"abc"}, "signed"),
        ({"content_type": None}, "content_type"),
        ({"content_type": b"application/yaml"}, "content_type"),
        ({"content_type": b"application/x-ndjson"}, "content_type"),
        ({"content_type": b"text/plain"}, "content_type"),
        ({"content_type": b"application/json, application/json"}, "content_type"),
        ({"content_type": b"application/json; a=b, application/json"}, "content_type"),
        ({"content_type": b"application/json; charset=latin1"}, "content_type"),
        ({"accept": b"application/yaml"}, "reply_format"),
        ({"accept": b"application/cbor, */*"}, "reply_format"),
        ({"accept": b"application/json, application/yaml"}, "reply_format"),
        ({"accept": b"application/vnd.opensearch+SMILE"}, "reply_format"),
        ({"x_rescore_query": b"%FF"}, "query_header"),
    ],
)
def test_headers_that_forbid(headers: dict[str, bytes | None], reason: str) -> None:
    assert reason == skipped(headers=replace(JSON, **headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": b"Basic abc"},
        {"content_type": b"Application/JSON; charset=UTF-8"},
        {"content_type": b"application/vnd.opensearch+json;compatible-with=2"},
        {"accept": b"application/json, text/plain, */*"},
        {"accept": b"text/html"},
    ],
)
def test_headers_that_allow(headers: dict[str, bytes | None]) -> None:
    assert read(headers=replace(JSON, **headers)).query_text == "red shoes"


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"[]",
        b"null",
        MATCH + b"x",
        MATCH[:-1],
        b"\xef\xbb\xbf" + MATCH,
        b"/* x */" + MATCH,
        MATCH.decode().encode("utf-16"),
        b'{"query":{"match":{"title":"\xff"}}}',
        b'{"query":{"match":{"title":"a","title":"b"}}}',
        b'{"size":1,"size":2}',
        b'{"size":1,"\\u0073ize":2}',
        b'{"min_score":NaN}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_bodies_that_are_not_strict_json(body: bytes) -> None:
    assert skipped(body=body) == "body_syntax"


@pytest.mark.parametrize(
    ("target", "body", "reason"),
    [
        (b"/i/_search?q=a;size=5", MATCH, "url_syntax"),
        (b"/i/_search?routing=%", MATCH, "url_syntax"),
        (b"/i/_search?scroll=1m", MATCH, "scroll"),
        (b"/i/_search", b'{"search_after":[1]}', "search_after"),
        (b"/i/_search?size=-1", MATCH, "bad_number"),
        (b"/i/_search?size=", MATCH, "bad_number"),
        (b"/i/_search?from=1.0", MATCH, "bad_number"),
        (b"/i/_search?from=99999999999", MATCH, "bad_number"),
        (b"/i/_search", b'{"size":-1}', "bad_number"),
        (b"/i/_search", b'{"size":1.5}', "bad_number"),
        (b"/i/_search", b'{"size":true}', "bad_number"),
        (b"/i/_search", b'{"size":null}', "bad_number"),
        (b"/i/_search", b'{"from":"x"}', "bad_number"),
        (b"/i/_search", b'{"from":1e400}', "bad_number"),
        (b"/i/_search", b'{"from":[1]}', "bad_number"),
        (b"/i/_search?size=0", MATCH, "size_zero"),
        (b"/i/_search", b'{"size":0}', "size_zero"),
        (b"/i/_search?from=50", MATCH, "beyond_window"),
        (b"/i/_search?from=1&size=10000", MATCH, "result_window"),
        (b"/i/_search?filter_path=hits.hits._id", MATCH, "filter_path"),
        (b"/i/_search", b"{}", "no_query_text"),
        (b"/i/_search", b"", "no_query_text"),
        (b"/i/_search", b'{"query":null}', "no_query_text"),
        (b"/i/_search", b'{"suggest":{}}', "no_query_text"),
        (b"/i/_search?q=", MATCH, "no_query_text"),
        (b"/i/_search", b'{"query":{"bool":{"filter":{"match":{"title":"x"}}}}}', "no_query_text"),
    ],
)
def test_searches_that_are_left_alone(target: bytes, body: bytes, reason: str) -> None:
    assert reason == skipped(target, body)


@pytest.mark.parametrize(
    ("target", "body", "expected"),
    [
        (b"", b"", True),
        (b"", b'"_source":["title","text"],', True),
        (b"", b'"_source":["title"],', False),
        (b"?_source=false", b"", False),
        (b"", b'"stored_fields":["price"],', False),
        (b"?filter_path=-aggregations", b"", True),
        (b"?filter_path=timed_out,_shards,hits", b"", True),
        (b"?filter_path=timed_out,_shards,hits,-hits.hits._source.text", b"", False),
    ],
)
def test_whether_the_text_is_in_the_reply(target: bytes, body: bytes, expected: bool) -> None:
    assert expected == read(b"/i/_search" + target, b"{" + body + MATCH[1:]).text_in_response


def test_a_field_to_group_by_has_to_be_in_the_reply() -> None:
    body = b'{"_source":["title","text"],' + MATCH[1:]
    plan = PLAN.model_copy(update={"group_by": "brand"})
    assert list_plan_fields(plan) == ("title", "text", "brand")
    assert read(body=body).text_in_response
    assert not read(body=body, plan=plan).text_in_response


@pytest.mark.parametrize(
    ("target", "body", "page"),
    [
        (b"?from=20&size=5", b"", (20, 5, 50)),
        (b"?from=45&size=20", b"", (45, 20, 65)),
        (b"", b'"from":20,"size":5,', (20, 5, 50)),
        (b"", b'"from":"20","size":"5.0",', (20, 5, 50)),
        (b"", b'"from":20.0,"size":5e0,', (20, 5, 50)),
        (b"?size=7", b'"from":20,"size":5,', (20, 7, 50)),
        (b"?size=7&size=8", b"", (0, 8, 50)),
        (b"?size=10000", b"", (0, 10000, 10000)),
        (b"?size=100", b"", (0, 100, 100)),
    ],
)
def test_the_page_and_how_much_to_fetch(
    target: bytes, body: bytes, page: tuple[int, int, int]
) -> None:
    search = read(b"/i/_search" + target, b"{" + body + MATCH[1:])
    assert page == (search.start, search.size, search.fetch)


def _with(section: str, value: Any) -> bytes:
    return json.dumps({section: value, "query": {"match": {"title": "red shoes"}}}).encode()


def test_the_most_explicit_query_text_wins() -> None:
    ext = {"rerank": {"query_context": {"query_text": "blue boots"}}}
    path = {"rerank": {"query_context": {"query_text_path": "query.match.title"}}}
    header = replace(JSON, x_rescore_query=b"caf%C3%A9%20+ au  lait")
    plan = PLAN.model_copy(update={"query_path": "suggest.text"})
    suggest = b'{"suggest":{"text":"green hats"},"query":{"match":{"title":"red shoes"}}}'

    assert read(b"/i/_search?q=hat", _with("ext", ext), header).query_text == "café + au lait"
    assert read(b"/i/_search?q=hat", _with("ext", ext)).query_text == "blue boots"
    assert read(b"/i/_search?q=hat", _with("ext", path)).query_text == "red shoes"
    assert read(b"/i/_search?q=hat", suggest, plan=plan).query_text == "hat"
    assert read(body=suggest, plan=plan).query_text == "green hats"
    assert read(body=suggest).query_text == "red shoes"
    assert read(headers=replace(JSON, x_rescore_query=b"")).query_text == "red shoes"


def test_a_plans_path_that_leads_nowhere_gives_no_text() -> None:
    plan = PLAN.model_copy(update={"query_path": "query.match.body"})
    assert skipped(plan=plan) == "no_query_text"


def test_a_header_gives_text_to_a_search_without_any() -> None:
    header = SearchHeaders(x_rescore_query=b"red")
    assert read(body=b"", headers=header).query_text == "red"


@pytest.mark.parametrize(
    ("target", "body", "widened"),
    [
        # in the body, in place
        (b"", b'{"size": 5 ,%s}', (b"", b'{"size": 50 ,%s}')),
        (b"", b'{%s,"from":20,"size":"5"}', (b"", b'{%s,"from":0,"size":50}')),
        (b"", b'{"\\u0073ize":5,%s}', (b"", b'{"\\u0073ize":50,%s}')),
        # in the URL, in place, in all occurrences
        (b"?size=5&size=%36&x", b"", None),
        (b"?q=red&size=5&pretty&size=%36", b"", (b"?q=red&size=50&pretty&size=50", b"")),
        (b"?from=%31&q=red&size=60", b"", (b"?from=0&q=red&size=61", b"")),
        # in the URL, even if the body has one too
        (b"?size=5", b'{"size":6,"from":7,%s}', (b"?size=50", b'{"size":6,"from":0,%s}')),
        (b"?from=3", b'{"from":6,%s}', (b"?from=0", b'{"size":50,"from":6,%s}')),
        # missing
        (b"", b" {%s}", (b"", b' {"size":50,%s}')),
        (b"?q=red", b"", (b"?q=red&size=50", b"")),
        (b"?q=red&", b"", (b"?q=red&size=50", b"")),
        (b"?q=red", b"{ }", (b"?q=red", b'{"size":50 }')),
        # non-ASCII text before and after
        (
            b"",
            '{"stats":["é😀"],"size":5,%s}'.encode(),
            (b"", '{"stats":["é😀"],"size":50,%s}'.encode()),
        ),
    ],
)
def test_widening_changes_the_page_alone(
    target: bytes, body: bytes, widened: tuple[bytes, bytes] | None
) -> None:
    query = b'"query":{"match":{"title":"red \xc3\xa9"}}'
    body = body.replace(b"%s", query)
    if widened is None:
        assert skipped(b"/i/_search" + target, body) == "unknown_parameter"
        return
    expected = b"/i/_search" + widened[0], widened[1].replace(b"%s", query)
    assert expected == widen_window(read(b"/i/_search" + target, body))


def test_a_search_of_nothing_but_a_header_is_widened_in_the_url() -> None:
    header = SearchHeaders(x_rescore_query=b"red")
    for target in (b"/i/_search", b"/i/_search?"):
        assert widen_window(read(target, b"", header)) == (b"/i/_search?size=50", b"")


@st.composite
def searches(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A search that is rescored, in any notation."""
    number = st.integers(1, 40)
    members = ['"query":{"match":{"title":"red"}}', f'"aggs":{draw(space)}{draw(values)}']
    for name in ("from", "size"):
        if draw(st.booleans()):
            form = draw(st.sampled_from(["{}", '"{}"', "{}.0", '"{}.0"']))
            members.append(f'"{name}"{draw(space)}:{draw(space)}{form.format(draw(number))}')
    members = [draw(space) + member + draw(space) for member in draw(st.permutations(members))]
    body = draw(space) + "{" + ",".join(members) + "}" + draw(space)
    parameters = ["pretty", "routing=a%2Bb+c", *(f"size={draw(number)}" for _ in range(2))]
    parameters = draw(st.lists(st.sampled_from([*parameters, f"from={draw(number)}"]), max_size=4))
    return b"/i/_search?" + "&".join(parameters).encode(), body.encode("utf-8", "surrogatepass")


@given(search=searches())
def test_widening_reads_back_as_the_window_and_leaves_the_rest(search: tuple[bytes, bytes]) -> None:
    before = read_search_request(*search, JSON, PLAN, Limits())
    if isinstance(before, Skip):  # repeated keys at depth, or a raw surrogate
        assert before.reason == "body_syntax"
        return
    target, body = widen_window(before)
    after = read(target, body)
    assert (after.start, after.size) == (0, before.fetch)
    assert after.query_text == before.query_text
    assert _without_page(before) == _without_page(after)


def _without_page(search: SearchRequest) -> tuple[list[bytes], dict[str, str]]:
    page = ("from", "size")
    return (
        [search.target[p.start : p.end] for p in search.parameters if p.name not in page],
        {k: search.text[m.start : m.end] for k, m in search.members.items() if k not in page},
    )


@given(target=st.binary(max_size=40), body=st.binary(max_size=60))
def test_no_bytes_raise(target: bytes, body: bytes) -> None:
    read_search_request(b"/i/_search?" + target, body, JSON, PLAN, Limits())


_keys = st.sampled_from(["query", "size", "from", "sort", "_source", "ext", "collapse", "match"])
_shapes = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=12,
)


@given(body=st.dictionaries(_keys, _shapes))
def test_no_json_raises(body: dict[str, Any]) -> None:
    read_search_request(b"/i/_search", json.dumps(body).encode(), JSON, PLAN, Limits())


@pytest.mark.parametrize("key", ["sort", "query", "ext", "_source", "collapse", "aggs"])
def test_nesting_near_the_limit_does_not_raise(key: str) -> None:
    for depth in range(700, 1100, 20):
        body = f'{{"{key}":' + "[" * depth + "]" * depth + "}"
        read_search_request(b"/i/_search", body.encode(), JSON, PLAN, Limits())
