"""What OpenSearch's Kendra Intelligent Ranking plugin does wrong, done right here.

The plugin (search-processor 2.11) also widens a search, lets a service score titles and bodies,
and puts the hits into a new order. Each test is named after one of its deficiencies.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.backends.base import CrossEncoderBackend, FloatArray
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from tests.running import Sidecar, request, running_sidecar
from tests.traps.conftest import INDEX
from tests.traps.pair import WORDS_FIRST, Pair, outcome
from tests.traps.scripted import StuckModel
from tests.traps.shim import running_shim

MATCH = {"match": {"body": "red shoes"}}
TARGET = f"/{INDEX}/_search"
WORDS = {"X-Rescore-Plan": "words"}


@contextmanager
def sidecar_with(
    model: CrossEncoderBackend, upstream: str, folder: Path, **plan: object
) -> Iterator[Sidecar]:
    """A sidecar whose one plan asks this model."""
    models = Models({"words": CrossEncoderScorer("words", model, Metrics())})
    with running_sidecar(
        folder, upstream, {"words": {**WORDS_FIRST, **plan}}, {"*": "words"}, models
    ) as running:
        yield running


def hits_of(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def test_01_a_search_without_from_and_size_gets_ten_hits(pair: Pair) -> None:
    assert len(hits_of(pair.search(TARGET, {"query": MATCH}, **WORDS))) == 10
    assert len(hits_of(pair.search(TARGET, {"query": MATCH, "from": 5}, **WORDS))) == 10
    assert len(hits_of(pair.search(TARGET, {"query": MATCH, "size": 3}, **WORDS))) == 3


def test_01_size_0_gets_no_hits(pair: Pair) -> None:
    assert hits_of(pair.search(TARGET, {"query": MATCH, "size": 0}, **WORDS)) == []


def test_02_track_total_hits_false_is_rescored(pair: Pair) -> None:
    body = {"query": MATCH, "track_total_hits": False}
    response = request(pair.sidecar.proxy, "POST", TARGET, body, WORDS)
    assert outcome(response).startswith("applied; ")
    assert "total" not in json.loads(response.body)["hits"]


@pytest.mark.parametrize("source", [["price"], {"excludes": ["body"]}, False], ids=json.dumps)
def test_03_text_that_the_client_did_not_ask_for_is_read_and_not_shown(
    pair: Pair, source: object
) -> None:
    body = {"query": MATCH, "_source": source, "size": 4}
    response = request(pair.sidecar.proxy, "POST", TARGET, body, WORDS)
    assert outcome(response).startswith("applied; plan=words; window=20; scored=20; ")
    shown = json.loads(response.body)["hits"]["hits"]
    by_id = {
        hit["_id"]: hit.get("_source")
        for hit in pair.direct("POST", TARGET, {**body, "size": 30})["hits"]["hits"]
    }
    assert [hit.get("_source") for hit in shown] == [by_id[hit["_id"]] for hit in shown]
    assert len(shown) == 4


def test_04_a_search_that_cannot_be_rescored_is_not_widened(pair: Pair, tmp_path: Path) -> None:
    with (
        running_shim(pair.node) as shim,
        running_sidecar(tmp_path, shim.url, {"words": WORDS_FIRST}, {"*": "words"}) as sidecar,
    ):
        body = {"query": {"match_all": {}}, "size": 2}
        assert request(sidecar.proxy, "POST", TARGET, body).status == 200
        (sent,) = shim.requests
        assert sent.endswith(json.dumps(body).encode())


def test_04_a_bool_query_is_rescored(pair: Pair) -> None:
    query = {"bool": {"must": [MATCH], "filter": [{"term": {"kind": "k1"}}]}}
    response = request(pair.sidecar.proxy, "POST", TARGET, {"query": query}, WORDS)
    assert outcome(response).startswith("applied; plan=words; window=20; scored=10; ")


@pytest.fixture
def two_indices(pair: Pair) -> Iterator[tuple[str, str]]:
    """The same ids in two indices, one document without any text, and an alias over both."""
    names = ("traps-left", "traps-right")
    for name in names:
        pair.direct("PUT", f"/{name}", {"aliases": {"traps-both": {}}})
        for number, body in enumerate(["red red", "red and a blue kettle", None]):
            document = {"title": f"red {name}", **({} if body is None else {"body": body})}
            pair.direct("PUT", f"/{name}/_doc/{number}?refresh=true", document)
    yield names
    for name in names:
        pair.direct("DELETE", f"/{name}")


def test_05_a_document_without_a_body_does_not_stop_the_others(
    pair: Pair, two_indices: tuple[str, str]
) -> None:
    body = {"query": {"match": {"title": "red blue kettle"}}}
    response = request(pair.sidecar.proxy, "POST", f"/{two_indices[0]}/_search", body, WORDS)
    assert outcome(response).startswith("applied; ")
    assert hits_of(json.loads(response.body))[0] == "1"


@pytest.mark.parametrize("expression", ["traps-left,traps-right", "traps-both"])
def test_06_equal_ids_of_two_indices_are_two_hits(
    pair: Pair, two_indices: tuple[str, str], expression: str
) -> None:
    body = {"query": {"match": {"title": "red blue kettle"}}}
    response = request(pair.sidecar.proxy, "POST", f"/{expression}/_search", body, WORDS)
    assert outcome(response).startswith("applied; ")
    found = [(hit["_index"], hit["_id"]) for hit in json.loads(response.body)["hits"]["hits"]]
    assert sorted(found) == [(name, str(number)) for name in two_indices for number in range(3)]
    assert {name for name, number in found[:2]} == set(two_indices)
    assert {number for name, number in found[:2]} == {"1"}


def test_07_nothing_is_lost_and_nothing_added_around_the_hits(pair: Pair) -> None:
    body = {
        "query": MATCH,
        "collapse": {"field": "kind"},
        "aggs": {"kinds": {"terms": {"field": "kind"}}},
        "suggest": {"s": {"text": "rde", "term": {"field": "body"}}},
    }
    target = f"{TARGET}?phase_took=true"
    direct = pair.direct("POST", target, body)
    through = pair.search(target, body, **WORDS)
    assert list(through) == list(direct)
    for key in direct.keys() - {"took", "phase_took", "hits"}:
        assert through[key] == direct[key]
    assert [hit["fields"] for hit in through["hits"]["hits"]] == [
        {"kind": [hit["_source"]["kind"]]} for hit in through["hits"]["hits"]
    ]
    assert "profile" not in through


class NegativeModel:
    """Scores below zero, falling with the order of the texts."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        return np.array([-1.0 - len(text) for text in texts], np.float32)


def test_08_max_score_is_the_windows_even_below_zero(pair: Pair, tmp_path: Path) -> None:
    with sidecar_with(NegativeModel(), pair.node.url, tmp_path) as sidecar:
        pages = [
            json.loads(
                request(
                    sidecar.proxy, "POST", TARGET, {"query": MATCH, "from": start, "size": 5}
                ).body
            )["hits"]
            for start in (0, 5)
        ]
    best = pages[0]["hits"][0]["_score"]
    assert best < 0
    assert [page["max_score"] for page in pages] == [best, best]


def test_08_scores_never_increase_from_page_to_page(pair: Pair, tmp_path: Path) -> None:
    with sidecar_with(NegativeModel(), pair.node.url, tmp_path, scores="fused") as sidecar:
        scores = []
        for start in range(0, 30, 6):
            body = {"query": MATCH, "from": start, "size": 6}
            answer = json.loads(request(sidecar.proxy, "POST", TARGET, body).body)
            scores += [hit["_score"] for hit in answer["hits"]["hits"]]
    assert len(scores) == 30
    assert scores == sorted(scores, reverse=True)


class BrokenModel:
    """Raises."""

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        raise RuntimeError("the model is broken")


def test_09_a_model_that_fails_leaves_an_answer(pair: Pair, tmp_path: Path) -> None:
    with sidecar_with(BrokenModel(), pair.node.url, tmp_path) as sidecar:
        response = request(sidecar.proxy, "POST", TARGET, {"query": MATCH, "size": 4})
    assert outcome(response) == "failed; reason=model; plan=words"
    direct = pair.direct("POST", TARGET, {"query": MATCH, "size": 4})
    assert json.loads(response.body)["hits"] == direct["hits"]


def test_10_a_model_at_work_blocks_nobody(pair: Pair, tmp_path: Path) -> None:
    model = StuckModel()
    with sidecar_with(model, pair.node.url, tmp_path) as sidecar:
        answers: list[Any] = []
        search = threading.Thread(
            target=lambda: answers.append(
                request(sidecar.proxy, "POST", TARGET, {"query": MATCH, "size": 2})
            )
        )
        search.start()
        try:
            assert model.entered.wait(20)
            for _ in range(20):
                assert request(sidecar.proxy, "GET", f"/{INDEX}/_count").status == 200
            assert answers == []
        finally:
            model.let_go.set()
            search.join()
    assert outcome(answers[0]).startswith("applied; ")


def test_11_an_alias_is_rescored(pair: Pair) -> None:
    response = request(pair.sidecar.proxy, "POST", "/traps-alias/_search", {"query": MATCH}, WORDS)
    assert outcome(response).startswith("applied; ")


@pytest.mark.parametrize(
    "target",
    [
        f"/{INDEX},no-such/_search?ignore_unavailable=true",
        "/no-such/_search?ignore_unavailable=true",
        "/no-such/_search",
        "/tr*s/_search",
        "/_all/_search",
        f"/{INDEX},-traps-alias/_search",
        f"/nowhere:{INDEX}/_search",
    ],
)
def test_11_a_wildcard_or_a_missing_index_is_answered_as_direct(pair: Pair, target: str) -> None:
    pair.same_search(target, {"query": MATCH, "size": 3})


def test_12_a_window_beyond_the_indexs_limit_is_no_error(pair: Pair) -> None:
    pair.direct("PUT", "/traps-small", {"settings": {"max_result_window": 5}})
    try:
        pair.direct("PUT", "/traps-small/_doc/1?refresh=true", {"body": "red"})
        small: dict[str, Any] = {"query": MATCH, "size": 3}
        response = request(pair.sidecar.proxy, "POST", "/traps-small/_search", small, WORDS)
        assert outcome(response).startswith("applied; plan=words; window=5; scored=1; ")
        assert response.status == 200
        pair.same_search("/traps-small/_search", {"query": MATCH, "size": 6}, WORDS)
    finally:
        pair.direct("DELETE", "/traps-small")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sort": ["n"], "search_after": [3]}, "skipped; reason=search_after; "),
        ({"slice": {"id": 0, "max": 2}}, "skipped; reason=slice; "),
        ({"pit": {"id": "x"}}, "skipped; reason=pit; "),
        (
            {"collapse": {"field": "kind", "inner_hits": {"name": "i"}}},
            "skipped; reason=collapse; ",
        ),
        ({"collapse": {"field": "kind"}}, "applied; "),
        (
            {"rescore": {"window_size": 9, "query": {"rescore_query": {"match": {"n": 3}}}}},
            "skipped; reason=rescore; ",
        ),
        (
            {"rescore": {"window_size": 20, "query": {"rescore_query": {"match": {"n": 3}}}}},
            "applied; ",
        ),
    ],
)
def test_13_what_has_an_order_of_its_own_is_considered(
    pair: Pair, keys: dict[str, Any], said: str
) -> None:
    response = request(pair.sidecar.proxy, "POST", TARGET, {"query": MATCH, **keys}, WORDS)
    assert outcome(response).startswith(said)


def test_14_a_hit_from_below_the_page_may_come_first(pair: Pair) -> None:
    body = {"query": MATCH, "size": 2}
    window = hits_of(pair.direct("POST", TARGET, {"query": MATCH, "size": 20}))
    # The title of the last hit of the window has its number, which no other one has.
    answer = pair.search(TARGET, body, X_Rescore_Query=window[19], **WORDS)
    assert hits_of(answer) == [window[19], window[0]]


def test_14_took_stays_opensearchs(pair: Pair, tmp_path: Path) -> None:
    model = StuckModel()
    with sidecar_with(model, pair.node.url, tmp_path, deadline_ms=400) as sidecar:
        asked = time.monotonic()
        response = request(sidecar.proxy, "POST", TARGET, {"query": MATCH})
        model.let_go.set()
    assert outcome(response) == "failed; reason=deadline; plan=words"
    assert json.loads(response.body)["took"] < 400 <= (time.monotonic() - asked) * 1000


@pytest.mark.parametrize("body", [{"size": 0}, {"query": MATCH, "from": 1000}, None])
def test_the_neural_search_processors_empty_page_and_missing_query_are_no_errors(
    pair: Pair, body: dict[str, Any] | None
) -> None:
    pair.same_search(TARGET, body, WORDS)
