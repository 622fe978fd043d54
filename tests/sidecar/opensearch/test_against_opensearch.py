"""Checks against a real OpenSearch what the code assumes about it.

If the answer to a widened search is cut to the client's page in its original order, it has the same
bytes as the answer to the client's own search (except for `took`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pipelines.plan import Plan
from sidecar.config.limits import Limits
from sidecar.opensearch.search_request import (
    SearchRequest,
    read_search_request,
    widen_window,
)
from sidecar.opensearch.search_response import read_search_response, splice_response
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch_rules.request_headers import SearchHeaders
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_took, send

INDEX = "spliced"
JSON = SearchHeaders(content_type=b"application/json")
PLAN = Plan.model_validate(
    {"rescore_window": 12, "document": {"title": "title"}, "stages": [{"model": "m"}]}
)
MATCH = '"query":{"match":{"title":"red"}}'


def ask(node: Node, method: str, target: bytes, body: bytes = b"") -> RawResponse:
    head = b"%s %s HTTP/1.1\r\nHost: x\r\n" % (method.encode(), target)
    if body:
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return send(node.host, node.port, head + b"Connection: close\r\n\r\n" + body)


@pytest.fixture
def node(opensearch: Node) -> Iterator[Node]:
    """A node with 20 documents, each with a different score for `red`."""
    settings = b'{"settings":{"number_of_shards":1,"number_of_replicas":0}}'
    assert ask(opensearch, "PUT", b"/" + INDEX.encode(), settings).status == 200
    lines = []
    for number in range(20):
        lines.append(json.dumps({"index": {"_id": f"é {number}"}}))
        title = "red " * (number + 1) + "shoes 😀 " * (number * number)
        raw = f'{{"title": "{title}", "n": {number}, "price": 1.10, "hits": {{"hits": [1E5]}}}}'
        lines.append(raw)
    bulk = ("\n".join(lines) + "\n").encode()
    assert (
        b'"errors":false'
        in ask(opensearch, "POST", f"/{INDEX}/_bulk?refresh=true".encode(), bulk).body
    )
    yield opensearch
    ask(opensearch, "DELETE", f"/{INDEX}".encode())


SEARCHES = [
    ("", f"{{{MATCH}}}"),
    ("?pretty", f"{{{MATCH}}}"),
    ("?pretty&from=3&size=4", f"{{{MATCH}}}"),
    ("?size=3&size=%34&pretty=false", f'{{{MATCH},"size":9,"from":2}}'),
    ("", f'{{"from":"2","size":"5.0",{MATCH}}}'),
    ("", f'{{ "from" : 2.0 , "size" : 5e0 , {MATCH} }}'),
    ("", f'{{"\\u0073ize":5,{MATCH}}}'),
    ("", f'{{"size":7,"from":10,{MATCH}}}'),
    ("", f'{{"size":50,{MATCH}}}'),
    ("?q=title:red+AND+shoes&size=3", ""),
    ("?q=red", f'{{{MATCH.replace("red", "shoes")},"size":4}}'),
    ("?q=r%65d&&typed_keys", ""),
    ("?q=100%%+red", ""),
    ("?sort=_score:desc", f"{{{MATCH}}}"),
    ("", f'{{{MATCH},"sort":[{{"_score":{{"order":"desc"}}}}]}}'),
    ("?rest_total_hits_as_int=true", f"{{{MATCH}}}"),
    ("", f'{{{MATCH},"track_total_hits":false,"explain":true,"version":true}}'),
    ("", f'{{{MATCH},"highlight":{{"fields":{{"title":{{}}}}}},"size":2}}'),
    ("", f'{{{MATCH},"_source":{{"excludes":["*_vector","n"]}},"size":2}}'),
    ("?_source=t*,price", f'{{{MATCH},"_source":false}}'),
    ("", f'{{{MATCH},"stored_fields":["_source"],"docvalue_fields":["n"],"size":2}}'),
    ("", f'{{{MATCH},"collapse":{{"field":"n"}},"size":3}}'),
    ("", f'{{{MATCH},"min_score":0.01,"post_filter":{{"range":{{"n":{{"lt":9}}}}}}}}'),
    (
        "",
        f'{{{MATCH},"size":1,"aggs":{{"a":{{"top_hits":{{"size":2}}}},'
        f'"b":{{"terms":{{"field":"n"}}}}}},"suggest":{{"s":{{"text":"rad","term":'
        f'{{"field":"title"}}}}}}}}',
    ),
    (
        "",
        f'{{{MATCH},"rescore":{{"window_size":30,"query":{{"rescore_query":'
        f'{{"match":{{"title":"shoes"}}}}}}}}}}',
    ),
]


def test_the_page_of_a_widened_search_is_the_page_that_was_asked_for(node: Node) -> None:
    for query, text in SEARCHES:
        target, body = f"/{INDEX}/_search{query}".encode(), text.encode()
        search = read_search_request(
            target, body, JSON if body else SearchHeaders(), PLAN, Limits()
        )
        assert isinstance(search, SearchRequest), (query, text, search)
        plain = ask(node, "POST", target, body)
        wide = ask(node, "POST", *widen_window(search))
        assert (plain.status, wide.status) == (200, 200), (query, text, plain.body, wide.body)
        read = read_search_response(wide.body)
        assert read.scored, (query, text)
        assert len(read.hits) >= len(read_search_response(plain.body).hits), (query, text)
        page = splice_response(read, None, search.start, search.size)
        assert mask_took(plain.body) == mask_took(page), (query, text)


REFUSED = [
    # (query, body, reason): searches that are skipped because OpenSearch refuses them
    ("?index=other&nonsense=1", f"{{{MATCH}}}", "unknown_parameter"),
    ("", f'{{{MATCH},"scroll":"1m"}}', "unknown_key"),
    ("?size=", f"{{{MATCH}}}", "bad_number"),
    ("?from=1.0", f"{{{MATCH}}}", "bad_number"),
    ("?from=1&size=10000", f"{{{MATCH}}}", "result_window"),
    ("?routing=%4", f"{{{MATCH}}}", "url_syntax"),
    ("", f"{{{MATCH},{MATCH}}}", "body_syntax"),
    ("", f'{{{MATCH},"min_score":NaN}}', "body_syntax"),
    ("", f"{{{MATCH}}}}}", "body_syntax"),
]


def test_what_opensearch_refuses_is_forwarded_as_it_came(node: Node) -> None:
    for query, text, reason in REFUSED:
        target = f"/{INDEX}/_search{query}".encode()
        assert read_search_request(target, text.encode(), JSON, PLAN, Limits()) == Skip(reason)
        assert ask(node, "POST", target, text.encode()).status == 400, (query, text)
