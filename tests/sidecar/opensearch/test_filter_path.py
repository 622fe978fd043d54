"""What remains after `filter_path`: a table of cases, checked against OpenSearch itself."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.opensearch.filter_path import keeps_fields, keeps_order
from tests.nodes.node import Node
from tests.running import request

# (filter_path, the order remains, title remains, meta.text remains)
CASES = [
    ("", True, True, True),
    (",", True, True, True),
    ("*", True, True, True),
    ("**", True, True, True),
    ("hits", False, True, True),
    ("_shards,timed_out,hits", True, True, True),
    ("_shards,timed_out,hits.hits", True, True, True),
    ("took,timed_out,_shards.failed,hits.total,hits.hits", True, True, True),
    ("timed_out,_shards.*,h*.hits.*", True, True, True),
    ("timed_out,_shards.**,hits.**", True, True, True),
    ("timed_out,*.failed,hits.hits._*", True, True, True),
    ("timed_out,_shards.f*d,hits.hits._index,hits.hits._id,hits.hits._score", True, False, False),
    ("timed_out,_shards,**._index,**._id,**._score", True, False, False),
    ("timed_out,_shards,hits.hits._index,hits.hits._id", False, False, False),
    ("timed_out,_shards,hits.hits._i*,hits.hits._s*", True, True, True),
    ("timed_out,_shards,hits.hits._*e,hits.hits._*d,hits.hits._index", True, True, True),
    ("_shards,hits", False, True, True),
    ("timed_out,hits", False, True, True),
    ("timed_out,_shards.total,hits", False, True, True),
    ("hits.hits._source", False, True, True),
    ("hits.hits._source.title", False, True, False),
    ("hits.hits._source.t*", False, True, False),
    ("hits.hits._source.meta", False, False, False),
    ("hits.hits._source.*", False, True, False),
    ("**.title", False, True, False),
    ("**.hits", False, True, True),
    ("hits._source", False, False, False),
    ("hits.hits.hits", False, False, False),
    # exclusions
    ("-aggregations", True, True, True),
    ("-hits.total,-took", True, True, True),
    ("-hits.hits._source", True, False, False),
    ("-hits.hits._source.title", True, False, False),
    ("-hits.hits._source.title.raw", True, False, False),
    ("-hits.hits._source.meta.text", True, True, False),
    ("-hits.hits._*", False, False, False),
    ("-hits.hits._id", False, True, True),
    ("-hits.hits.sort", True, True, True),
    ("-**.sort", False, False, False),
    ("-_shards.failures", True, True, True),
    ("-_shards", False, True, True),
    ("_shards,timed_out,hits,-hits.hits._source", True, False, False),
    ("- hits", False, False, False),
    ("-", False, False, False),
    ("-hits.", False, False, False),
    # escapes and blanks
    (r"timed_out,_shards,hits\.hits", False, False, False),
    (r"timed_out,_shards,hits\x", False, False, False),
    (r"-hits\.hits", True, True, True),
    (r"-hi\ts", False, False, False),
    (" -took", True, True, True),
    ("timed_out , _shards,\thits", True, True, True),
    ("timed_out,_shards,\u00a0hits", False, False, False),
    ("timed_out,_shards,hits.", False, False, False),
    ("timed_out,_shards,hits..hits", False, False, False),
]


@pytest.mark.parametrize(("value", "order", "title", "text"), CASES)
def test_what_is_left(value: str, order: bool, title: bool, text: bool) -> None:
    assert order == keeps_order(value)
    assert title == keeps_fields(value, ["title"])
    assert text == keeps_fields(value, ["meta.text"])
    assert keeps_fields(value, ["title", "meta.text"]) == (title and text)


def test_a_value_too_long_to_be_judged_leaves_nothing() -> None:
    value = "_shards,timed_out,hits" + ",x" * 2037
    assert len(value) == 4096
    assert keeps_order(value)
    assert keeps_fields(value, ["title"])
    assert not keeps_order(value + ",")
    assert not keeps_fields(value + ",", ["title"])


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Node:
    found: Node = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def searched(node: Node) -> Iterator[Node]:
    """A node with one document, which has a dotted field in both notations."""
    address = (node.host, node.port)
    source = {"title": {"raw": "red"}, "meta": {"text": "a"}, "meta.text": "b", "price": 1}
    assert request(address, "PUT", "/filtered/_doc/1?refresh=true", source).status == 201
    yield node
    request(address, "DELETE", "/filtered")


def check(node: Node, value: str) -> None:
    """What the code says remains does remain, unless OpenSearch refuses the value."""
    target = f"/filtered/_search?filter_path={quote(value)}"
    response = request((node.host, node.port), "GET", target)
    assert response.status in (200, 400), response.body
    if response.status == 400:
        assert b"filters cannot be null or empty" in response.body, value
        return
    left: dict[str, Any] = json.loads(response.body)
    hits = left.get("hits", {}).get("hits", [])
    if keeps_order(value):
        assert (left["timed_out"], left["_shards"]["failed"]) == (False, 0), value
        assert [(hit["_index"], hit["_id"], hit["_score"]) for hit in hits] == [
            ("filtered", "1", 1.0)
        ], value
    if keeps_fields(value, ["title"]):
        assert [hit["_source"]["title"] for hit in hits] == [{"raw": "red"}], value
    if keeps_fields(value, ["meta.text"]):
        sources = [hit["_source"] for hit in hits]
        assert [(s["meta"], s["meta.text"]) for s in sources] == [({"text": "a"}, "b")], value


def test_opensearch_leaves_what_is_said_to_be_left(searched: Node) -> None:
    for value, *_ in CASES:
        check(searched, value)


_keys = st.sampled_from(
    ["hits", "_shards", "failed", "timed_out", "_index", "_id", "_score", "_source", "title"]
    + ["meta", "text", "raw", "*", "**", "h*", "_s*", "*e", r"a\.b", "\\x", " hits", ""]
)
_patterns = st.builds(
    lambda sign, keys: sign + ".".join(keys),
    st.sampled_from(["", "", "", "-", " -", "- "]),
    st.lists(_keys, min_size=1, max_size=5),
)
_prefixes = st.sampled_from(["", "timed_out,_shards,", "_shards.*,*,", "timed_out,_shards,hits,"])


@st.composite
def filter_paths(draw: st.DrawFn) -> str:
    return draw(_prefixes) + ",".join(draw(st.lists(_patterns, max_size=4)))


def test_opensearch_agrees_on_drawn_values(searched: Node) -> None:
    drawn: list[str] = []

    @given(value=filter_paths())
    def collect(value: str) -> None:
        drawn.append(value)

    collect()
    for value in dict.fromkeys(drawn):
        check(searched, value)


@given(value=st.text(max_size=40))
def test_no_text_raises(value: str) -> None:
    keeps_order(value)
    keeps_fields(value, ["title", "meta.text"])
