"""Many clients at once: each is answered in fair order, or refused before time is spent on it."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from sidecar.scoring_line import MOST_PLACES, LinePlace, ScoringLine, count_work
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Answer, Served, document, serving

CLIENTS = 32


class GatedModel:
    """A model that waits for the test before it reads, and records what it reads."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.chunks: list[tuple[str, int]] = []

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        assert self.go_on.wait(30)
        self.chunks.append((query_text, len(texts)))
        return np.zeros(len(texts), np.float32)


class WatchedLine(ScoringLine):
    """Tells when the requests of all of a test's clients are in it. Its time stands still."""

    def __init__(self) -> None:
        now = time.monotonic()
        super().__init__(Metrics(), lambda: now)
        self.all_in_line = threading.Event()
        self._in_line = 0

    @contextmanager
    def enter(self, deadline: float, work: Mapping[str, int]) -> Iterator[LinePlace]:
        with super().enter(deadline, work) as place:
            self._in_line += 1
            if self._in_line == CLIENTS:
                self.all_in_line.set()
            yield place


@pytest.fixture
def line() -> WatchedLine:
    return WatchedLine()


@pytest.fixture
def model() -> GatedModel:
    return GatedModel()


@pytest.fixture
def scorer(model: GatedModel) -> Iterator[CrossEncoderScorer]:
    scorer = CrossEncoderScorer("words", model, Metrics())
    yield scorer
    model.go_on.set()
    scorer.close()


@pytest.fixture
def door(scorer: CrossEncoderScorer, line: WatchedLine, tmp_path: Path) -> Iterator[Served]:
    models = Models({"words": scorer})
    with serving(tmp_path, models, line=line, deadline_ms=30_000) as served:
        yield served


def ask(door: Served, query: str, texts: int) -> Answer:
    return door.rescore([document(f"d{n}", f"text w{n}") for n in range(texts)], query)


def test_a_long_request_does_not_hold_up_the_short_ones(
    door: Served, model: GatedModel, line: WatchedLine
) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(ask, door, "long", 400)]
        asked += [clients.submit(ask, door, f"short {n}", 4) for n in range(CLIENTS - 1)]
        assert line.all_in_line.wait(30)
        model.go_on.set()
        answers = [one.result(60) for one in asked]
    assert {answer.status for answer in answers} == {200}
    assert len(answers[0].json["ResultItems"]) == 400
    last_short = max(n for n, (query, _) in enumerate(model.chunks) if query != "long")
    before = sum(texts for query, texts in model.chunks[:last_short] if query == "long")
    # If the long one was the first, it read one slice; the rest waited for all the short ones.
    assert before <= 1024 // count_work(["text w1"])


def test_more_than_can_wait_are_refused_at_once(door: Served, model: GatedModel) -> None:
    with ThreadPoolExecutor(MOST_PLACES + 8) as clients:
        asked = [clients.submit(ask, door, f"q{n}", 4) for n in range(MOST_PLACES + 8)]
        # The model reads nothing meanwhile, so only refusals are answered.
        refused = [one.result().error for one in islice(as_completed(asked, timeout=30), 8)]
        assert refused == [(400, "ThrottlingException")] * 8
        model.go_on.set()
        assert [one.result(60).status for one in asked].count(200) == MOST_PLACES


def test_a_refusal_on_the_plugins_wire_is_one_that_it_does_not_repeat(
    door: Served, model: GatedModel
) -> None:
    body = json.dumps({"SearchQuery": "q", "Documents": [document("d", "text")]}).encode()
    path = f"/rescore-execution-plans/{PLAN_ID}/rescore/"
    with ThreadPoolExecutor(MOST_PLACES + 1) as clients:
        asked = [
            clients.submit(door.send, "POST", path, body, chunked=True)
            for _ in range(MOST_PLACES + 1)
        ]
        done, _ = wait(asked, 30, FIRST_COMPLETED)
        assert [one.result().error for one in done] == [(400, "ThrottlingException")]
        model.go_on.set()
