"""More requests than the model can score in time, over sockets: who is answered, who is refused.

The line's clock goes on by a second for each text that the model reads, and the model waits for the
test. So nothing here depends on the speed of the machine.
"""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.scorers import Models
from sidecar.scoring_line import ScoringLine
from tests.sidecar.rerank.api import Api, running_api
from tests.sidecar.rerank.conftest import plan_of
from tests.sidecar.rerank.test_bearer_paths import body

CLIENTS = 40
TEXTS = 50
ADMITTED = 11
"""What goes into 575 seconds at 50 seconds each, with 25 seconds to spare."""


class SecondForEachText:
    """A model and its clock."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.queries: list[str] = []
        self.ahead = 0.0

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        assert self.go_on.wait(60)
        self.ahead += len(texts)
        self.queries.append(query_text)
        return np.zeros(len(texts), np.float32)


@pytest.fixture
def model() -> SecondForEachText:
    return SecondForEachText()


@pytest.fixture
def api(model: SecondForEachText, tmp_path: Path) -> Iterator[Api]:
    metrics = Metrics()
    models = Models({"words": CrossEncoderScorer("words", model, metrics)})
    settings = {"deadline_ms": 575_000, "tencent": {"max_documents": TEXTS}}
    line = ScoringLine(metrics, model.clock)
    plans = {"only": plan_of("words")}
    with running_api(tmp_path, models, settings, plans, metrics=metrics, line=line) as api:
        model.go_on.set()
        assert api.post("/v1/rerank", {"query": "learn", "documents": documents()}).status == 200
        model.go_on.clear()
        model.ahead = 0
        model.queries.clear()
        yield api
        model.go_on.set()
    models.close()


def documents() -> list[str]:
    return [f"text w{n:03}" for n in range(TEXTS)]


def test_what_the_model_can_score_is_answered_and_the_rest_refused_at_once(
    api: Api, model: SecondForEachText
) -> None:
    given = documents()
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [
            clients.submit(api.post, "/v1/rerank", {"query": f"q{n}", "documents": given})
            for n in range(CLIENTS)
        ]
        # The model reads nothing meanwhile, so only refusals are answered.
        refused = [one.result() for one in islice(as_completed(asked, 60), CLIENTS - ADMITTED)]
        assert {answer.status for answer in refused} == {503}
        assert all(1 <= int(answer.values("Retry-After")[0]) <= 50 for answer in refused)

        # For the model, all of them are one search, so no search waits longer for them.
        assert api.metric("rescore_scoring_line") == ADMITTED
        assert api.metric("rescore_model_queue", model="words") == 1

        # The line is full for every API, and each says so in its own words.
        ask = {"query": "q", "documents": given}
        for path, status in (("/v1/rerank", 503), ("/v2/rerank", 503), ("/rerank", 503)):
            assert api.post(path, ask).status == status
        assert api.post("/rerank", {"query": "q", "texts": given}).status == 429
        tencent = {"Query": "q", "Docs": given}
        answer = api.post("/", tencent, {"X-TC-Action": "RunRerank"})
        assert answer.status == 200
        error = body(answer)["Response"]["Error"]
        assert error["Code"] == "FailedOperation"
        assert "try again in" in error["Message"]

        model.go_on.set()
        statuses = [one.result(60).status for one in asked]
    assert statuses.count(200) == ADMITTED
    assert api.metric("rescore_scoring_refused_total", when="waiting") == 0
    assert api.metric("rescore_scoring_line") == 0
    # Each request is read whole, after the one before it.
    runs = [query for query, _ in itertools.groupby(model.queries)]
    assert len(runs) == len(set(runs)) == ADMITTED
