"""Spellings of a search's path: what the node takes for a search, the sidecar takes for one too."""

from __future__ import annotations

import json

import pytest

from tests.traps.conftest import INDEX
from tests.traps.pair import Pair, outcome, plain_body, raw_request

MATCH = {"query": {"match": {"body": "red"}}, "size": 5}
SEARCH = json.dumps(MATCH).encode()
ITEM = b"{}\n" + SEARCH + b"\n"
TEMPLATE = json.dumps({"source": MATCH}).encode()
ITEM_TEMPLATE = b"{}\n" + TEMPLATE + b"\n"

ENDPOINTS = {
    "_search": (SEARCH, "applied"),
    "_msearch": (ITEM, "applied"),
    "_search/template": (TEMPLATE, "templates"),
    "_msearch/template": (ITEM_TEMPLATE, "templates"),
}
SEARCHES = [
    *("/{i}/{e}", "/{i}/{e}/", "/{i}/{e}///", "{i}/{e}", "{i}/{e}/", "/{i}/{e}/?size=3"),
    *("/{i},/{e}", "/{i},,/{e}", "/tr%61ps/{e}", "/{i}%2C{i}/{e}", "/{i}/{e}?"),
    *("/{e}", "/{e}/", "{e}", "//{e}", "{e}//"),
]
NO_SEARCHES = [
    *("//{i}/{e}", "//{i}//{e}", "/{i}//{e}", "{i}//{e}", "///{e}", "/,{i}/{e}", "/{i}/./{e}"),
    *("http://x/{i}/{e}", "http://x/{e}", "/{i}/{e}%2F", "/{i}/{e};a", "/{i}%2F{e}"),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("spelled", SEARCHES)
def test_a_search_however_its_path_is_spelled(
    either_pair: Pair, spelled: str, endpoint: str, method: str
) -> None:
    body, expected = ENDPOINTS[endpoint]
    target = spelled.format(i=INDEX, e=endpoint)
    if "?size" in target and endpoint != "_search":
        target = target.partition("?")[0]
    direct, through = either_pair.send(raw_request(method, target, body))
    assert direct.status == through.status == 200
    assert plain_body(direct) == plain_body(through)
    assert b'"hits":[' in through.body
    assert expected in outcome(through)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("spelled", NO_SEARCHES)
def test_what_the_node_takes_for_no_search(either_pair: Pair, spelled: str, endpoint: str) -> None:
    target = spelled.format(i=INDEX, e=endpoint)
    through = either_pair.same(raw_request("POST", target, ENDPOINTS[endpoint][0]))
    assert b'"hits":[' not in through.body
    assert b"x-rescore" not in through.head.lower()


@pytest.mark.parametrize(
    ("spelled", "replaced"), [("_", "%5F"), ("s", "%73"), ("search/t", "search%2Ft")]
)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_with_escapes_is_none(
    either_pair: Pair, endpoint: str, spelled: str, replaced: str
) -> None:
    target = f"/{INDEX}/{endpoint.replace(spelled, replaced, 1)}"
    if "%" not in target:
        return
    through = either_pair.same(raw_request("POST", target, ENDPOINTS[endpoint][0]))
    assert through.status >= 400
    assert b"x-rescore" not in through.head.lower()
