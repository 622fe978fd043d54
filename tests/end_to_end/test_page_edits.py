"""What a rescored page shows if asked: why a hit is there, its best passage, no low scores.

Against real OpenSearch, both releases. The fake model's score is the share of the query's words
that a passage contains.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sidecar.models.spreads import FAKE_SPREAD
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took, send
from tests.running import Sidecar, request, running_sidecar

INDEX, STYLED, BRIEF, PLAIN = "shown", "shown-styled", "shown-brief", "shown-plain"
QUERY = {"match": {"body": "copper kettle"}}
PLAN = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "fusion": {"method": "replace"},
    "passages": {"words": 8, "overlap": 0, "per_group": 3},
}
HIGHLIGHT = {"field": "shown.text", "pre_tags": "[", "post_tags": ["]"], "encoder": "html"}
# One hit has all words of the query and the score 1; all others have one word and 0.5.
LEVELS = {"low": 0.4, "medium": 0.75, "high": 1.5, "very_high": 1.5}
PLANS = {
    "plain": PLAN,
    "styled": {**PLAN, "highlight": HIGHLIGHT},
    "missing": {**PLAN, "highlight": {"when": "missing"}, "templates": True},
    "levels": {**PLAN, "min_relevance": "medium", "relevance_levels": LEVELS},
    "lenient": {**PLAN, "min_relevance": "low", "relevance_levels": LEVELS},
    "added": {
        **PLAN,
        "fusion": {"method": "additive"},
        "min_relevance": "medium",
        "relevance_levels": {name: level / FAKE_SPREAD for name, level in LEVELS.items()},
    },
}
LONG = "It stands on the stove, and it whistles.\nA <b>copper</b> kettle  & more of it.\nThe end."
BODIES = [
    "kettle kettle kettle kettle kettle",
    LONG,
    "copper copper copper pipes",
    "a wooden handle for a kettle",
] + [f"{'copper' if number % 2 else 'kettle'} number {number}" for number in range(16)]


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    found: Node = request.getfixturevalue(request.param)
    indexes = (INDEX, STYLED, BRIEF, PLAIN)
    for index in indexes:
        assert ask(found, "PUT", f"/{index}", {"settings": {"number_of_shards": 1}}).status == 200
        for number, body in enumerate(BODIES):
            assert ask(found, "PUT", f"/{index}/_doc/{number}", {"body": body}).status == 201
        ask(found, "POST", f"/{index}/_refresh")
    yield found
    for index in indexes:
        ask(found, "DELETE", f"/{index}")


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {INDEX: "plain", STYLED: "styled", BRIEF: "missing"}
    main = {"window_cache_s": 60}
    with running_sidecar(folder, node.url, PLANS, routes, main=main) as running:
        yield running


@pytest.fixture(scope="module")
def forgetful(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar that caches only orders."""
    folder = tmp_path_factory.mktemp("sidecar")
    main = {"window_cache_s": 0, "window_order_s": 60}
    with running_sidecar(folder, node.url, PLANS, {INDEX: "plain"}, main=main) as running:
        yield running


def ask(node: Node, method: str, target: str, body: object = None) -> RawResponse:
    return request((node.host, node.port), method, target, body)


def search(
    sidecar: Sidecar,
    section: Mapping[str, Any] | None,
    target: str = f"/{INDEX}/_search",
    **members: Any,
) -> RawResponse:
    body = {"query": QUERY, "size": 5, **members}
    if section is not None:
        body["ext"] = {"rescore": section}
    return request(sidecar.proxy, "POST", target, body)


def page(sidecar: Sidecar, section: Mapping[str, Any] | None, start: int) -> RawResponse:
    members: dict[str, Any] = {"from": start}
    return search(sidecar, section, f"/{INDEX}/_search", **members)


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


def hits(response: RawResponse) -> list[dict[str, Any]]:
    assert response.status == 200, response.body
    found: list[dict[str, Any]] = json.loads(response.body)["hits"]["hits"]
    return found


def ids(response: RawResponse) -> list[str]:
    return [hit["_id"] for hit in hits(response)]


def without(response: RawResponse, *names: str) -> Any:
    """The answer without these members of its hits."""
    body = json.loads(response.body)
    del body["took"]
    for hit in body["hits"]["hits"]:
        for name in names:
            hit.pop(name, None)
    return body


# explain


def test_a_hit_says_why_it_is_there(node: Node, sidecar: Sidecar) -> None:
    found = ask(node, "POST", f"/{INDEX}/_search", {"query": QUERY, "size": 20})
    before = {hit["_id"]: (place, hit["_score"]) for place, hit in enumerate(hits(found), start=1)}
    explained = search(sidecar, {"explain": True})
    best = hits(explained)[0]
    assert best["_id"] == "1"
    assert list(best["_rescore"]) == [
        *("rank_before", "score_before", "score", "model", "lexical", "passage", "offsets")
    ]
    assert best["_rescore"]["passage"] == "A <b>copper</b> kettle & more of it."
    assert (best["_rescore"]["score"], best["_rescore"]["model"]) == (1.0, "words")
    offsets = best["_rescore"]["offsets"]
    assert offsets["field"] == "body"
    assert LONG[offsets["start"] : offsets["end"]] == "A <b>copper</b> kettle  & more of it."
    for hit in hits(explained):
        own = hit["_rescore"]
        assert (own["rank_before"], own["score_before"]) == before[hit["_id"]]


@pytest.mark.parametrize(
    ("target", "members"),
    [
        (f"/{INDEX}/_search", {}),
        (f"/{INDEX}/_search?pretty", {}),
        (f"/{INDEX}/_search", {"_source": False}),
        (f"/{INDEX}/_search", {"explain": True, "fields": ["body"]}),
        (f"/{INDEX}/_search", {"highlight": {"fields": {"body": {}}}}),
        (f"/{INDEX}/_search", {"from": 15, "size": 10}),
    ],
)
def test_nothing_else_changes(sidecar: Sidecar, target: str, members: dict[str, Any]) -> None:
    plain = search(sidecar, None, target, **members)
    assert outcome(plain).startswith("applied")
    explained = search(sidecar, {"explain": True}, target, **members)
    assert b"_rescore" not in plain.body
    assert all("_rescore" in hit for hit in hits(explained))
    assert without(explained, "_rescore") == without(plain)
    asked_not = search(sidecar, {"explain": False}, target, **members)
    if members.get("from"):  # cut from a cached window or not, `took` may differ
        assert without(asked_not) == without(plain)
    else:
        assert mask_took(asked_not.body) == mask_took(plain.body)


def test_text_that_the_answer_lacks(sidecar: Sidecar) -> None:
    section = {"explain": True, "highlight": True}
    (best, *_) = hits(search(sidecar, section, _source=False))
    assert "_source" not in best
    assert best["_rescore"]["passage"] == "A <b>copper</b> kettle & more of it."
    assert best["highlight"] == {"body": ["A <b><em>copper</em></b> <em>kettle</em> & more of it."]}


def test_filter_path_decides_what_is_shown(sidecar: Sidecar) -> None:
    section = {"explain": True, "highlight": True}
    path = f"/{INDEX}/_search?filter_path=_shards,timed_out,hits.hits._index,hits.hits._id,"
    path += "hits.hits._score"
    (best, *_) = hits(search(sidecar, section, path))
    assert best.keys() == {"_index", "_id", "_score"}
    (best, *_) = hits(search(sidecar, section, path + ",hits.hits.highlight"))
    assert best.keys() == {"_index", "_id", "_score", "highlight"}
    (best, *_) = hits(search(sidecar, section, path + ",hits.hits._rescore"))
    assert best.keys() == {"_index", "_id", "_score", "_rescore"}


def test_pages_agree(sidecar: Sidecar, forgetful: Sidecar) -> None:
    section = {"explain": True, "highlight": True, "min_score": 0.5}
    for one, mark in ((sidecar, "cached"), (forgetful, "order=kept")):
        whole = hits(search(one, section, size=20))
        pages = [page(one, section, start) for start in (0, 5, 10, 15)]
        assert all(mark in outcome(one_page) for one_page in pages[1:])
        assert all("dropped=" in outcome(one_page) for one_page in pages)
        assert [hit for one_page in pages for hit in hits(one_page)] == whole
        assert all("_rescore" in hit and "highlight" in hit for hit in whole)
        # The same search without a section has windows of its own.
        plain = [page(one, None, start) for start in (0, 5)]
        assert all(b"_rescore" not in one_page.body for one_page in plain)
        again = page(one, section, 5)
        assert hits(again) == hits(pages[1])


# highlight


def test_the_best_passage_is_a_highlight(sidecar: Sidecar) -> None:
    shown = search(sidecar, {"highlight": True})
    assert hits(shown)[0]["highlight"] == {
        "body": ["A <b><em>copper</em></b> <em>kettle</em> & more of it."]
    }
    assert all(list(hit["highlight"]) == ["body"] for hit in hits(shown))
    assert without(shown, "highlight") == without(search(sidecar, None))


def test_it_looks_like_the_searchs_own_highlight(sidecar: Sidecar) -> None:
    own = {
        "pre_tags": ["<i>"],
        "post_tags": "</i>",
        "encoder": "html",
        "fields": {"body": {}, "*": {"number_of_fragments": 0}},
    }
    plain = search(sidecar, None, highlight=own)
    shown = search(sidecar, {"highlight": True}, highlight=own)
    (fragment,) = hits(shown)[0]["highlight"]["body"]
    assert fragment == ("A &lt;b&gt;<i>copper</i>&lt;&#x2F;b&gt; <i>kettle</i> &amp; more of it.")
    # OpenSearch escapes and marks in the same way.
    assert (
        fragment.partition(" ")[2].partition("<i>kettle")[0]
        in (hits(plain)[0]["highlight"]["body"][0])
    )
    others = "body.keyword"
    assert [hit["highlight"].get(others) for hit in hits(shown)] == [
        hit["highlight"].get(others) for hit in hits(plain)
    ]


def test_the_plan_can_ask_for_it(sidecar: Sidecar) -> None:
    styled = f"/{STYLED}/_search"
    shown = search(sidecar, None, styled)
    assert hits(shown)[0]["highlight"] == {
        "shown.text": ["A &lt;b&gt;[copper]&lt;&#x2F;b&gt; [kettle] &amp; more of it."]
    }
    assert all(
        "highlight" not in hit for hit in hits(search(sidecar, {"highlight": False}, styled))
    )


def test_when_missing(sidecar: Sidecar) -> None:
    brief = f"/{BRIEF}/_search"
    own = {"fields": {"body": {"number_of_fragments": 0}}}
    with_own = search(sidecar, None, brief, highlight=own)
    direct_off = search(sidecar, {"highlight": False}, brief, highlight=own)
    assert without(with_own) == without(direct_off)
    assert hits(search(sidecar, None, brief))[0]["highlight"] == {
        "body": ["A <b><em>copper</em></b> <em>kettle</em> & more of it."]
    }


# min_score


def test_low_scores_are_left_out_of_the_page(sidecar: Sidecar) -> None:
    plain = search(sidecar, None)
    some = search(sidecar, {"min_score": 0.75})
    assert ids(some) == ["1"]
    assert outcome(some).endswith("; dropped=4")
    whole, cut = json.loads(plain.body)["hits"], json.loads(some.body)["hits"]
    assert (cut["total"], cut["max_score"]) == (whole["total"], whole["max_score"])
    none = search(sidecar, {"min_score": 2})
    assert (ids(none), outcome(none).rpartition("; ")[2]) == ([], "dropped=5")
    every = search(sidecar, {"min_score": -1})
    assert mask_took(every.body) == mask_took(plain.body)
    assert outcome(every).endswith("; dropped=0")
    assert "dropped" not in outcome(plain)


# min_relevance


@pytest.mark.parametrize("plan", ["levels", "added"])
def test_hits_that_are_not_relevant_are_left_out(sidecar: Sidecar, plan: str) -> None:
    every = search(sidecar, {"plan": "plain"})
    some = search(sidecar, {"plan": plan})
    assert ids(some) == ["1"]
    assert outcome(some).endswith("; dropped=4")
    whole, cut = json.loads(every.body)["hits"], json.loads(some.body)["hits"]
    assert cut["total"] == whole["total"]
    second = page(sidecar, {"plan": plan}, 5)
    assert "; cached" in outcome(second)
    assert ids(second) == []
    assert "; dropped=5" in outcome(second)
    assert json.loads(second.body)["hits"]["total"] == whole["total"]


def test_a_level_that_all_hits_have_drops_none(sidecar: Sidecar) -> None:
    every = search(sidecar, {"plan": "plain"})
    lenient = search(sidecar, {"plan": "lenient"})
    assert mask_took(lenient.body) == mask_took(every.body)
    assert outcome(lenient).endswith("; dropped=0")


def test_each_item_of_an_msearch_has_its_own_level(sidecar: Sidecar) -> None:
    plans = ("levels", "lenient", "plain")
    lines: list[Any] = []
    for plan in plans:
        body = {"query": QUERY, "size": 5, "ext": {"rescore": {"plan": plan}}}
        lines += [{"index": INDEX}, body]
    content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    head = (
        "POST /_msearch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    response = send(*sidecar.proxy, head.encode() + content)
    assert outcome(response).endswith("; dropped=4")
    answers = [answer["hits"] for answer in json.loads(response.body)["responses"]]
    assert [len(hits["hits"]) for hits in answers] == [1, 5, 5]
    assert len({hits["total"]["value"] for hits in answers}) == 1


# other ways to search


def test_items_of_an_msearch(sidecar: Sidecar) -> None:
    sections: list[dict[str, Any]] = [
        {"explain": True},
        {"highlight": True},
        {"min_score": 0.75},
        {},
    ]
    lines: list[Any] = []
    for section in sections:
        body = {"query": QUERY, "size": 5, "ext": {"rescore": section}}
        lines += [{"index": INDEX}, body]
    content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    head = (
        "POST /_msearch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    response = send(*sidecar.proxy, head.encode() + content)
    assert outcome(response).endswith("; dropped=4")
    explained, shown, dropped, plain = json.loads(response.body)["responses"]
    assert [hit["_id"] for hit in dropped["hits"]["hits"]] == ["1"]
    for changed, name in ((explained, "_rescore"), (shown, "highlight")):
        for hit, other in zip(changed["hits"]["hits"], plain["hits"]["hits"], strict=True):
            assert hit.pop(name)
            assert hit == other


def test_a_search_by_template(sidecar: Sidecar) -> None:
    source = {"query": QUERY, "size": 5, "ext": {"rescore": {"highlight": True}}}
    body = {"source": source, "params": {}}
    response = request(sidecar.proxy, "POST", f"/{BRIEF}/_search/template", body)
    assert outcome(response).startswith("applied; plan=missing")
    assert json.loads(response.body)["status"] == 200
    assert hits(response)[0]["highlight"]["body"]


def test_a_compressed_answer(sidecar: Sidecar) -> None:
    body = json.dumps({"query": QUERY, "ext": {"rescore": {"highlight": True}}}).encode()
    head = (
        f"POST /{INDEX}/_search HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        f"Accept-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    response = send(*sidecar.proxy, head.encode() + body)
    assert response.values("Content-Encoding") == ["gzip"]
    (best, *_) = json.loads(gzip.decompress(response.body))["hits"]["hits"]
    assert best["highlight"]


def test_a_search_that_is_not_rescored_shows_nothing(node: Node, sidecar: Sidecar) -> None:
    section = {"explain": True, "highlight": True, "min_score": 2}
    response = search(sidecar, section, sort=["_doc"])
    direct = ask(node, "POST", f"/{INDEX}/_search", {"query": QUERY, "size": 5, "sort": ["_doc"]})
    assert outcome(response) == "skipped; reason=sort; plan=plain"
    assert mask_content_length(mask_took(response.body)) == mask_content_length(
        mask_took(direct.body)
    )
