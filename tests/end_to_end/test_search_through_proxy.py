"""One search, end to end: a real OpenSearch, the whole sidecar, and clients that know of neither.

The model is the fake cross-encoder, which scores a text by the share of the query's words in it,
so that each expected order can be read off the documents.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch, helpers

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.fake import FakeCrossEncoder
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took, send
from tests.running import Sidecar, request, running_sidecar

INDEX = "shelf"
QUERY = {"match": {"body": "copper kettle with wooden handle"}}
REPLACE = {
    "rescore_window": 20,
    "deadline_ms": 20_000,
    "document": {"body": "body"},
    "fusion": {"method": "replace"},
    "scores": "model",
}

# BM25 likes many repetitions of one rare word; the fake model counts how many words are there.
DOCUMENTS = [
    {"title": f"{number}", "body": body, "shelf": number % 3}
    for number, body in enumerate(
        [
            "kettle kettle kettle kettle",
            "a copper kettle with a wooden handle",
            "copper copper copper pipes",
            "kettle of fish",
            "a wooden handle for a broom",
            "handle with care",
            "kettle, copper, handle",
            "copper kettle",
            "drums and a copper kettle with",
            "a house with a garden",
            "Kupfer \u2014 caf\u00e9 kettle \U0001f600",
            "kettle kettle handle",
        ]
        + [f"kettle number {number} and some more words about it" for number in range(20)]
    )
]


def model_scores(text: str) -> list[float]:
    bodies = [str(document["body"]) for document in DOCUMENTS]
    return [float(score) for score in FakeCrossEncoder().score_pairs(text, bodies)]


@pytest.fixture(scope="module", params=["3.8.0", "2.19.1"])
def node(request: pytest.FixtureRequest) -> Node:
    names = {"3.8.0": "opensearch_3", "2.19.1": "opensearch_2"}
    found: Node = request.getfixturevalue(names[request.param])
    return found


@pytest.fixture(scope="module")
def sidecar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    plans: dict[str, dict[str, Any]] = {
        "model": REPLACE,
        "fused": {"rescore_window": 20, "deadline_ms": 20_000},
        "positional": {**REPLACE, "scores": "positional"},
        "grouped": {**REPLACE, "group_by": "shelf"},
        "off": {"enabled": False},
    }
    with running_sidecar(
        tmp_path_factory.mktemp("sidecar"), node.url, plans, {INDEX: "model"}
    ) as running:
        # Everything is indexed through the proxy, with the client that applications use.
        client = OpenSearch(f"http://{running.proxy}")
        client.indices.create(index=INDEX, body={"settings": {"number_of_shards": 1}})
        actions = ({"_index": INDEX, "_id": doc["title"], **doc} for doc in DOCUMENTS)
        count, errors = helpers.bulk(client, actions, refresh=True)
        client.close()
        assert (count, errors) == (len(DOCUMENTS), [])
        yield running
        direct = OpenSearch(node.url)
        direct.indices.delete(index=INDEX)
        direct.close()


def search(address: Any, body: dict[str, Any], **fields: str) -> dict[str, Any]:
    response = request(
        address,
        "POST",
        f"/{INDEX}/_search",
        body,
        {name.replace("_", "-"): value for name, value in fields.items()},
    )
    assert response.status == 200, response.body
    parsed: dict[str, Any] = json.loads(response.body)
    return parsed


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def outcome(response: RawResponse) -> str:
    (value,) = response.values("X-Rescore")
    return value


def without_hits(answer: dict[str, Any]) -> dict[str, Any]:
    hits = {key: value for key, value in answer["hits"].items() if key not in ("hits", "max_score")}
    return {**answer, "took": 0, "hits": hits}


def test_order_and_scores_are_the_plans_and_all_else_is_as_direct(
    node: Node, sidecar: Sidecar
) -> None:
    body = {"query": QUERY, "size": 8, "aggs": {"shelves": {"terms": {"field": "shelf"}}}}
    window = search((node.host, node.port), {**body, "size": 20})["hits"]["hits"]
    scores = model_scores(QUERY["match"]["body"])
    expected = sorted(window, key=lambda hit: -scores[int(hit["_id"])])[:8]

    direct = search((node.host, node.port), body)
    answer = search(sidecar.proxy, body)

    assert ids(answer) == [hit["_id"] for hit in expected]
    assert ids(answer) != ids(direct)
    for hit, original in zip(answer["hits"]["hits"], expected, strict=True):
        assert hit["_score"] == pytest.approx(scores[int(hit["_id"])])
        assert {**hit, "_score": 0} == {**original, "_score": 0}
    assert answer["hits"]["max_score"] == pytest.approx(max(scores))
    assert without_hits(answer) == without_hits(direct)


@pytest.mark.parametrize("pretty", ["", "?pretty"])
def test_only_order_scores_and_one_header_differ_in_bytes(
    node: Node, sidecar: Sidecar, pretty: str
) -> None:
    body = {"query": QUERY, "size": 20}
    target = f"/{INDEX}/_search{pretty}"
    direct = request((node.host, node.port), "POST", target, body)
    through = request(sidecar.proxy, "POST", target, body, {"X-Rescore-Plan": "positional"})

    def sorted_hits(response: RawResponse) -> tuple[bytes, list[bytes]]:
        start = response.body.index(b"[", response.body.index(b'"hits"'))
        hits = re.split(rb'(?=\{\s*"_index")', response.body[start:])
        cut = [re.sub(rb'("_score"\s*:\s*)[0-9.Ee-]+', rb"\1", hit) for hit in hits]
        return mask_took(response.body[:start]), sorted(hit.rstrip(b"\n ,]}") for hit in cut)

    assert sorted_hits(through) == sorted_hits(direct)
    numbers = re.compile(rb'"_score"\s*:\s*([0-9.Ee-]+)')
    assert numbers.findall(through.body) == numbers.findall(direct.body)
    head = re.sub(rb"X-Rescore: [^\r]*\r\n", b"", through.head)
    assert sorted(mask_content_length(head).lower().split(b"\r\n")) == sorted(
        mask_content_length(direct.head).lower().split(b"\r\n")
    )
    assert outcome(through).startswith(
        "applied; plan=positional; window=20; scored=20; model=words; ms="
    )


def test_pages_are_slices_of_one_order_and_scores_never_increase(
    node: Node, sidecar: Sidecar
) -> None:
    plan = {"X-Rescore-Plan": "fused"}
    total = search((node.host, node.port), {"query": QUERY})["hits"]["total"]["value"]
    assert total > 25
    hits: list[dict[str, Any]] = []
    for start in range(0, total, 5):
        page = request(
            sidecar.proxy, "POST", f"/{INDEX}/_search?from={start}&size=5", {"query": QUERY}, plan
        )
        hits += json.loads(page.body)["hits"]["hits"]
        expected = "applied" if start < 20 else "skipped; reason=beyond_window"
        assert outcome(page).startswith(expected)
    whole = search((node.host, node.port), {"query": QUERY, "size": total})["hits"]
    assert [hit["_id"] for hit in hits[20:]] == [hit["_id"] for hit in whole["hits"][20:]]
    assert sorted(h["_id"] for h in hits) == sorted(h["_id"] for h in whole["hits"])
    scores = [hit["_score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == whole["max_score"]
    assert scores[19] == whole["hits"][19]["_score"]


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "?q=copper+kettle", None),
        ("POST", "?q=copper%20kettle&size=7", None),
        ("GET", "", {"query": {"match": {"body": {"query": "copper kettle"}}}}),
        ("POST", "", {"query": {"multi_match": {"query": "copper kettle", "fields": ["bo*"]}}}),
        ("POST", "", {"query": {"query_string": {"query": "body:(copper kettle)"}}}),
        ("POST", "", {"query": {"simple_query_string": {"query": "copper | kettle"}}}),
        ("POST", "", {"query": {"dis_max": {"queries": [{"match": {"body": "copper kettle"}}]}}}),
        (
            "POST",
            "",
            {
                "query": {
                    "function_score": {
                        "query": {"match": {"body": "copper kettle"}},
                        "functions": [{"weight": 2}],
                    }
                }
            },
        ),
        (
            "POST",
            "",
            {
                "query": {
                    "bool": {
                        "must": [{"match": {"body": "copper kettle"}}],
                        "filter": [{"range": {"shelf": {"gte": 0}}}],
                        "must_not": {"match": {"body": "fish"}},
                    }
                }
            },
        ),
    ],
)
def test_query_text_is_found_wherever_applications_put_it(
    sidecar: Sidecar, method: str, target: str, body: object
) -> None:
    response = request(sidecar.proxy, method, f"/{INDEX}/_search{target}", body)
    assert response.status == 200, response.body
    assert outcome(response).startswith("applied; plan=model; ")
    scores = model_scores("copper kettle")
    got = [float(hit["_score"]) for hit in json.loads(response.body)["hits"]["hits"]]
    found = [scores[int(hit["_id"])] for hit in json.loads(response.body)["hits"]["hits"]]
    assert got == pytest.approx(found)
    assert got == sorted(got, reverse=True)


def test_hits_of_a_group_stay_together_in_their_original_order(
    node: Node, sidecar: Sidecar
) -> None:
    body = {"query": QUERY, "size": 20}
    direct = search((node.host, node.port), body)["hits"]["hits"]
    answer = search(sidecar.proxy, body, X_Rescore_Plan="grouped")["hits"]["hits"]
    shelves = [hit["_source"]["shelf"] for hit in answer]
    assert len(set(shelves)) == 3
    assert sum(a != b for a, b in zip(shelves, shelves[1:], strict=False)) == 2
    for shelf in set(shelves):
        assert [hit["_id"] for hit in answer if hit["_source"]["shelf"] == shelf] == [
            hit["_id"] for hit in direct if hit["_source"]["shelf"] == shelf
        ]


def test_a_compressed_search_gets_a_compressed_answer(node: Node, sidecar: Sidecar) -> None:
    body = gzip.compress(json.dumps({"query": QUERY, "size": 5}).encode())
    head = (
        f"POST /{INDEX}/_search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Encoding: gzip\r\nAccept-Encoding: br, gzip\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    through = send(*sidecar.proxy, head + body)
    assert outcome(through).startswith("applied; ")
    assert through.values("content-encoding") == ["gzip"]
    plain = search(sidecar.proxy, {"query": QUERY, "size": 5})
    assert ids(json.loads(gzip.decompress(through.body))) == ids(plain)


@pytest.mark.parametrize(
    ("target", "body", "fields", "reason"),
    [
        ("", {"query": QUERY, "sort": ["shelf"]}, {}, "sort"),
        ("", {"query": QUERY, "size": 0}, {}, "size_zero"),
        ("?scroll=1m", {"query": QUERY}, {}, "scroll"),
        ("", {"query": {"match_all": {}}}, {}, "no_query_text"),
        ("", {"query": QUERY}, {"X-Rescore": "off"}, "off"),
        ("", {"query": QUERY}, {"X-Rescore-Plan": "off"}, "disabled"),
        ("", {"query": QUERY}, {"X-Rescore-Plan": "nope"}, "unknown_plan"),
        ("", {"query": QUERY, "size": -1}, {}, "bad_number"),
        ("?wrong=1", {"query": QUERY}, {}, "unknown_parameter"),
    ],
)
def test_a_search_that_is_not_ours_is_answered_as_direct(
    node: Node, sidecar: Sidecar, target: str, body: object, fields: dict[str, str], reason: str
) -> None:
    plan = "off" if fields.get("X-Rescore-Plan") == "off" else "model"
    labels = {"plan": plan, "status": "skipped", "reason": reason}
    counted = sidecar.metric("rescore_searches_total", **labels)
    direct = request((node.host, node.port), "POST", f"/{INDEX}/_search{target}", body)
    through = request(sidecar.proxy, "POST", f"/{INDEX}/_search{target}", body, fields)
    assert outcome(through) == f"skipped; reason={reason}; plan={plan}"
    masked = re.compile(rb'"_scroll_id":"[^"]*"')
    assert masked.sub(b"", mask_took(through.body)) == masked.sub(b"", mask_took(direct.body))
    assert through.status == direct.status
    assert sidecar.metric("rescore_searches_total", **labels) == counted + 1


def test_the_query_text_may_come_in_a_header(sidecar: Sidecar) -> None:
    response = request(
        sidecar.proxy,
        "POST",
        f"/{INDEX}/_search",
        {"query": {"match_all": {}}},
        {"X-Rescore-Query": "wooden%20handle"},
    )
    assert outcome(response).startswith("applied; ")
    assert ids(json.loads(response.body))[:2] == ["1", "4"]


def test_everything_else_is_identical_to_the_byte(node: Node, sidecar: Sidecar) -> None:
    bulk = b"".join(
        b'{"index":{"_index":"bulky","_id":"%d"}}\n{"text":"%s"}\n' % (number, b"x" * 50_000)
        for number in range(100)
    )
    assert len(bulk) > 5_000_000
    answers = []
    for host, port in ((node.host, node.port), sidecar.proxy):

        def exchange(raw: bytes, host: str = host, port: int = port) -> RawResponse:
            return send(host, port, raw)

        def get(target: str, ask: Any = exchange) -> RawResponse:
            response: RawResponse = ask(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            return response

        loaded = exchange(
            b"POST /_bulk?refresh=true&filter_path=errors,items.*.status HTTP/1.1\r\nHost: h\r\n"
            b"Content-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % len(bulk) + bulk
        )
        listed = get("/_cat/indices/bulky?h=index,health,docs.count")
        missing = get("/bulky/_doc/none%20such%2F1?pretty")
        unknown = get("/no-such-index/_search")
        scrolled = get("/bulky/_search?scroll=1m&size=3&sort=_doc&_source=false")
        scroll_id = json.loads(scrolled.body)["_scroll_id"]
        next_page = get(f"/_search/scroll?scroll_id={scroll_id}&scroll=1m")
        exchange(b"DELETE /bulky HTTP/1.1\r\nHost: h\r\n\r\n")
        responses = [loaded, listed, missing, unknown, scrolled, next_page]
        for response in responses:
            assert response.values("X-Rescore") == []
        # The node's own measurements, and names that it draws anew each time.
        drawn = re.compile(rb'"_scroll_id":"[^"]*"|uuid"\s*:\s*"[^"]*"|TASK_RESOURCE_USAGE: [^\r]*')
        masked = [mask_content_length(r.head) + mask_took(r.body) for r in responses]
        answers.append([drawn.sub(b"", response) for response in masked])
    assert answers[0] == answers[1]


class FaultyModel:
    """A cross-encoder that fails in the way it is told to."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        match self.fault:
            case "raise":
                raise RuntimeError("the model is broken")
            case "nan":
                return np.full(len(texts), np.nan, np.float32)
            case "short":
                return np.ones(len(texts) - 1, np.float32)
        raise AssertionError(self.fault)


@pytest.mark.parametrize(
    ("fault", "reason"), [("raise", "model"), ("nan", "scores"), ("short", "scores")]
)
@pytest.mark.filterwarnings("default::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_search_is_never_lost_when_the_model_fails(
    node: Node, sidecar: Sidecar, tmp_path: Path, fault: str, reason: str
) -> None:
    scorer = CrossEncoderScorer("words", FaultyModel(fault), Metrics())
    with running_sidecar(
        tmp_path, node.url, {"model": REPLACE}, {INDEX: "model"}, Models({"words": scorer})
    ) as faulty:
        body = {"query": QUERY, "from": 2, "size": 5}
        direct = request((node.host, node.port), "POST", f"/{INDEX}/_search", body)
        through = request(faulty.proxy, "POST", f"/{INDEX}/_search", body)
        assert outcome(through) == f"failed; reason={reason}; plan=model"
        assert mask_took(through.body) == mask_took(direct.body)
        labels = {"plan": "model", "status": "failed", "reason": reason}
        assert faulty.metric("rescore_searches_total", **labels) == 1


def test_before_the_models_are_loaded_searches_pass(
    node: Node, sidecar: Sidecar, tmp_path: Path
) -> None:
    with running_sidecar(tmp_path, node.url, {"model": REPLACE}, {INDEX: "model"}) as early:
        loaded = early.app._models
        models, loaded.current = loaded.current, None
        response = request(early.proxy, "POST", f"/{INDEX}/_search", {"query": QUERY})
        ready = request(early.api, "GET", "/readyz")
        loaded.current = models
    assert outcome(response) == "skipped; reason=starting; plan=model"
    assert (ready.status, json.loads(ready.body)["models"]) == (503, {"words": "loading"})


def test_the_api_listener_says_how_it_is(node: Node, sidecar: Sidecar) -> None:
    search(sidecar.proxy, {"query": QUERY})
    healthy = request(sidecar.api, "GET", "/healthz")
    ready = request(sidecar.api, "GET", "/readyz")
    metrics = request(sidecar.api, "GET", "/metrics")
    assert json.loads(healthy.body) == {"status": "ok"}
    state = json.loads(ready.body)
    assert len(state.pop("config")["digest"]) == 16
    assert state == {
        "ready": True,
        "models": {"words": "ready"},
        "upstream": {node.url: "ok"},
    }
    assert b'rescore_searches_total{plan="model",reason="",status="applied"}' in metrics.body
    assert b"# HELP relay_requests_total " in metrics.body
