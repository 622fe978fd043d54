"""Many clients at once: each is answered, in fair order, or refused before time is wasted."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.scheduling import CHUNK_TEXTS, QUEUE_JOBS
from sidecar.models.scorers import CrossEncoderScorer, Models, Scores
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Answer, Served, document, serving

CLIENTS = 32


class GatedModel:
    """Reads nothing until it is told to, and notes what it reads."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.queries: list[str] = []

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        assert self.go_on.wait(30)
        self.queries.append(query_text)
        return np.zeros(len(texts), np.float32)


class WatchedScorer(CrossEncoderScorer):
    """Says when so many requests are in line that all of a test's clients are."""

    def __init__(self, model: GatedModel) -> None:
        super().__init__("words", model, Metrics())
        self.all_in_line = threading.Event()
        self._in_line = 0

    async def score(self, query_text: str, texts: Sequence[str], deadline: float | None) -> Scores:
        self._in_line += 1
        if self._in_line == CLIENTS:
            # After this step of the loop, which puts the request in line.
            asyncio.get_running_loop().call_soon(self.all_in_line.set)
        return await super().score(query_text, texts, deadline)


@pytest.fixture
def model() -> GatedModel:
    return GatedModel()


@pytest.fixture
def scorer(model: GatedModel) -> Iterator[WatchedScorer]:
    scorer = WatchedScorer(model)
    yield scorer
    model.go_on.set()
    scorer.close()


@pytest.fixture
def door(scorer: WatchedScorer, tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, Models({"words": scorer}), deadline_ms=30_000) as served:
        yield served


def ask(door: Served, query: str, texts: int) -> Answer:
    return door.rescore([document(f"d{n}", f"text {n}") for n in range(texts)], query)


def test_a_long_request_does_not_hold_up_the_short_ones(
    door: Served, model: GatedModel, scorer: WatchedScorer
) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(ask, door, "long", 400)]
        asked += [clients.submit(ask, door, f"short {n}", 4) for n in range(CLIENTS - 1)]
        assert scorer.all_in_line.wait(30)
        model.go_on.set()
        answers = [one.result(60) for one in asked]
    assert {answer.status for answer in answers} == {200}
    assert len(answers[0].json["ResultItems"]) == 400
    # A chunk of one request, then one of the next: no short one waits for more than one round.
    assert set(model.queries[: CLIENTS + 2]) == set(model.queries)
    assert model.queries.count("long") == 400 // CHUNK_TEXTS


def test_more_than_can_wait_are_refused_at_once(door: Served, model: GatedModel) -> None:
    with ThreadPoolExecutor(QUEUE_JOBS + 8) as clients:
        asked = [clients.submit(ask, door, f"q{n}", 4) for n in range(QUEUE_JOBS + 8)]
        # The model stands still, so only refusals are answered.
        refused = [one.result().error for one in islice(as_completed(asked, timeout=30), 8)]
        assert refused == [(400, "ThrottlingException")] * 8
        model.go_on.set()
        assert [one.result(60).status for one in asked].count(200) == QUEUE_JOBS


def test_a_refusal_on_the_plugins_wire_is_one_that_it_does_not_repeat(
    door: Served, model: GatedModel
) -> None:
    body = json.dumps({"SearchQuery": "q", "Documents": [document("d", "text")]}).encode()
    path = f"/rescore-execution-plans/{PLAN_ID}/rescore/"
    with ThreadPoolExecutor(QUEUE_JOBS + 1) as clients:
        asked = [
            clients.submit(door.send, "POST", path, body, chunked=True)
            for _ in range(QUEUE_JOBS + 1)
        ]
        done, _ = wait(asked, 30, FIRST_COMPLETED)
        assert [one.result().error for one in done] == [(400, "ThrottlingException")]
        model.go_on.set()
