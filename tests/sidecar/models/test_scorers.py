"""What a search pays: stored passages are not read again, partial answers, refused numbers."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import BadScores, DeadlinePassed, ModelFailed, Overloaded
from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.backends.base import BiEncoderBackend, CrossEncoderBackend, FloatArray
from sidecar.models.backends.fake import FakeBiEncoder, FakeCrossEncoder
from sidecar.models.backends.sentence_transformers import SentenceTransformersBiEncoder
from sidecar.models.pair_scorer import CrossEncoderScorer
from sidecar.models.passage_store import PassageStore
from sidecar.models.scheduling import QUEUE_JOBS, Schedule
from sidecar.models.scorers import BiEncoderScorer, Models
from sidecar.models.sources import find_weights

TEXTS = [f"apple tree {n}" for n in range(20)]


class HeldBiEncoder(FakeBiEncoder):
    """Reads passages only when the test lets it."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.passages_read = 0
        self.all_read = threading.Event()

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        assert self.held.wait(timeout=60), "the test never let this chunk go"
        self.passages_read += len(texts)
        if self.passages_read == len(TEXTS):
            self.all_read.set()
        return super().embed_passages(texts)


class HeldAfterOneChunk(HeldBiEncoder):
    """Reads the first chunk at once, and the others when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.held.set()

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        vectors = super().embed_passages(texts)
        if self.passages_read == len(texts):
            self.held.clear()
        return vectors


class HeldQueries(FakeBiEncoder):
    """Reads query texts only when the test lets it, and fails on them where it is broken."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.broken = False

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        assert self.held.wait(timeout=60), "the test never let this query text go"
        if self.broken:
            raise RuntimeError("broken")
        return super().embed_queries(texts)


class NotFinite(FakeBiEncoder):
    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        return np.full((len(texts), self.dimensions), np.nan, np.float32)


class NotFinitePairs(FakeCrossEncoder):
    def score_pairs(self, query_text: str, texts: Sequence[str]) -> FloatArray:
        return np.full(len(texts), np.inf, np.float32)


class ShortAnswer(FakeBiEncoder):
    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        return super().embed_passages(texts[:1])


Serve = Callable[[BiEncoderBackend | CrossEncoderBackend], Models]


@pytest.fixture
def store() -> PassageStore:
    return PassageStore(FakeBiEncoder.dimensions, 2**20)


@pytest.fixture
def serve(metrics: Metrics, store: PassageStore) -> Iterator[Serve]:
    opened: list[Models] = []

    def serve_one(backend: BiEncoderBackend | CrossEncoderBackend) -> Models:
        scorer: CrossEncoderScorer | BiEncoderScorer
        if isinstance(backend, FakeCrossEncoder):
            scorer = CrossEncoderScorer("m", backend, metrics)
        else:
            assert isinstance(backend, FakeBiEncoder)
            scorer = BiEncoderScorer("m", backend, store, metrics)
        opened.append(Models({"m": scorer}))
        return opened[-1]

    yield serve_one
    for models in opened:
        models.close()


def lookups(metrics: Metrics, result: str) -> float | None:
    labels = {"model": "m", "result": result}
    return metrics.registry.get_sample_value("rescore_passage_lookups_total", labels)


def read_so_far(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("rescore_model_texts_total", {"model": "m"})


async def test_a_warm_search_reads_the_query_alone(serve: Serve, metrics: Metrics) -> None:
    scorer = serve(FakeBiEncoder()).scorer(None)
    cold = await scorer.score("m", "apple", TEXTS)
    assert (lookups(metrics, "hit"), lookups(metrics, "miss")) == (0, 20)
    assert read_so_far(metrics) == 21
    await scorer.score("m", "tree", TEXTS)
    assert (lookups(metrics, "hit"), lookups(metrics, "miss")) == (20, 20)
    assert read_so_far(metrics) == 22
    warm = await scorer.score("m", "apple", TEXTS)
    assert read_so_far(metrics) == 22, "the query text was known, too"
    assert cold == warm


async def test_what_is_unread_is_what_a_model_would_read(serve: Serve) -> None:
    bi_encoder, cross_encoder = serve(FakeBiEncoder()), serve(FakeCrossEncoder())
    assert list(bi_encoder.unread("m", TEXTS)) == TEXTS
    await bi_encoder.scorer(None).score("m", "apple", TEXTS[:5])
    assert list(bi_encoder.unread("m", TEXTS)) == TEXTS[5:]
    await cross_encoder.scorer(None).score("m", "apple", TEXTS)
    assert list(cross_encoder.unread("m", TEXTS)) == TEXTS
    assert list(cross_encoder.unread("unknown", TEXTS)) == TEXTS


async def test_equal_passages_are_read_once(serve: Serve, metrics: Metrics) -> None:
    scores = await serve(FakeBiEncoder()).scorer(None).score("m", "apple", ["apple tree"] * 30)
    assert len(set(scores)) == 1
    assert read_so_far(metrics) == 2


async def test_passages_that_two_searches_want_at_once_are_read_once(serve: Serve) -> None:
    backend = HeldBiEncoder()
    models = serve(backend)
    async with asyncio.TaskGroup() as searches:
        one = searches.create_task(models.scorer(None).score("m", "apple", TEXTS))
        two = searches.create_task(models.scorer(None).score("m", "apple", TEXTS))
        backend.held.set()
    assert one.result() == two.result()
    assert backend.passages_read == len(TEXTS)


async def test_an_expected_query_text_is_read_once_and_ahead(
    serve: Serve, metrics: Metrics
) -> None:
    models = serve(FakeBiEncoder())
    models.expect(["m", "other"], "apple")
    models.expect(["m"], "apple")
    scores = await models.scorer(None).score("m", "apple", TEXTS)
    assert read_so_far(metrics) == 1 + len(TEXTS)
    models.expect(["m"], "apple")
    assert scores == await models.scorer(None).score("m", "apple", TEXTS)
    assert read_so_far(metrics) == 1 + len(TEXTS)


async def test_no_query_text_is_expected_where_many_wait(
    serve: Serve, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = serve(FakeBiEncoder())
    wait = 0.06
    monkeypatch.setattr(Schedule, "wait_s", lambda self, lane: wait)
    models.expect(["m"], "apple")
    scored = await models.scorer(None).score("m", "apple", TEXTS)
    assert None not in scored
    wait = 0.04
    models.expect(["m"], "pear")
    await models.scorer(None).score("m", "pear", TEXTS)
    assert read_so_far(metrics) == 2 + len(TEXTS)


async def test_a_search_that_is_left_takes_no_expected_query_text_from_another(
    serve: Serve,
) -> None:
    backend = HeldQueries()
    models = serve(backend)
    models.expect(["m"], "apple")
    with pytest.raises(DeadlinePassed):
        await models.scorer(time.monotonic() + 0.05).score("m", "apple", TEXTS)
    other = asyncio.ensure_future(models.scorer(None).score("m", "apple", TEXTS))
    left = asyncio.ensure_future(models.scorer(None).score("m", "apple", TEXTS))
    await asyncio.sleep(0)  # each takes its first step, and waits for the query text
    left.cancel()
    backend.held.set()
    assert None not in await other
    assert left.cancelled()


async def test_an_expected_query_text_that_fails_fails_its_search_and_not_the_next(
    serve: Serve,
) -> None:
    backend = HeldQueries()
    models = serve(backend)
    backend.broken = True
    models.expect(["m"], "apple")
    search = asyncio.ensure_future(models.scorer(None).score("m", "apple", TEXTS))
    await asyncio.sleep(0)  # it takes its first step, and waits for the query text
    backend.held.set()
    with pytest.raises(ModelFailed):
        await search
    backend.broken = False
    assert None not in await models.scorer(None).score("m", "apple", TEXTS)


async def test_more_texts_than_one_lookup_takes(serve: Serve) -> None:
    texts = [f"apple {'tree ' * (n % 7)}{n}" for n in range(600)]
    models = serve(FakeBiEncoder())
    cold = await models.scorer(None).score("m", "apple tree", texts)
    assert cold == await models.scorer(None).score("m", "apple tree", texts)
    [alone] = await models.scorer(None).score("m", "apple tree", texts[500:501])
    assert cold[500] == alone


async def test_at_the_deadline_stored_passages_are_scored(serve: Serve) -> None:
    backend = HeldBiEncoder()
    models = serve(backend)
    backend.held.set()
    await models.scorer(None).score("m", "apple", TEXTS[:3])
    backend.held.clear()
    scores = await models.scorer(time.monotonic() + 0.2).score("m", "apple", TEXTS)
    backend.held.set()
    assert [score is None for score in scores] == [False] * 3 + [True] * 17


async def test_what_the_deadline_left_is_read_for_the_next_search(serve: Serve) -> None:
    backend = HeldBiEncoder()
    models = serve(backend)
    with pytest.raises(DeadlinePassed):
        await models.scorer(time.monotonic() + 0.2).score("m", "apple", TEXTS)
    backend.held.set()
    assert await asyncio.to_thread(backend.all_read.wait, 60)
    await models.scorer(None).score("m", "apple", TEXTS)
    assert backend.passages_read == len(TEXTS)


async def test_what_was_enough_leaves_the_rest_for_the_next_search(serve: Serve) -> None:
    model = HeldAfterOneChunk()
    scorer = serve(model).scorer(None)
    seen: list[int] = []

    def enough(scores: Sequence[float | None]) -> bool:
        seen.append(len(scores) - scores.count(None))
        return seen[-1] > 0

    scores = await scorer.score_until("m", "apple", TEXTS, enough)
    assert seen[0] == 0  # before anything is read
    assert len(scores) == len(TEXTS)
    assert 0 < seen[1] < len(TEXTS)
    assert scores.count(None) == len(TEXTS) - seen[1]
    model.held.set()
    assert await asyncio.to_thread(model.all_read.wait, 60)
    assert await scorer.score("m", "apple", TEXTS) == await scorer.score_until(
        "m", "apple", TEXTS, lambda _: False
    )
    assert model.passages_read == len(TEXTS)


async def test_stored_passages_may_be_enough(serve: Serve) -> None:
    model = HeldBiEncoder()
    scorer = serve(model).scorer(None)
    model.held.set()
    await scorer.score("m", "apple", TEXTS[:8])
    model.held.clear()
    scores = await scorer.score_until("m", "apple", TEXTS, lambda _: True)
    assert [score is None for score in scores] == [False] * 8 + [True] * 12
    model.held.set()


async def test_a_cosine_is_at_most_the_highest_score(serve: Serve) -> None:
    scorer = serve(FakeBiEncoder()).scorer(None)
    highest = scorer.highest("m")
    assert highest == 1.0
    texts = [f"{'word ' * n}apple" for n in range(40)]
    for text in texts:
        [score] = await scorer.score("m", text, [text])
        assert score is not None
        assert score <= highest
    assert serve(FakeCrossEncoder()).scorer(None).highest("m") is None
    assert scorer.highest("unknown") is None


async def test_a_search_that_reached_nothing_has_a_reason(serve: Serve) -> None:
    models = serve(FakeBiEncoder())
    with pytest.raises(DeadlinePassed):
        await models.scorer(time.monotonic() - 1).score("m", "apple", TEXTS)
    models = serve(FakeCrossEncoder())
    with pytest.raises(DeadlinePassed):
        await models.scorer(time.monotonic() - 1).score("m", "apple", TEXTS)


async def test_when_overloaded_stored_passages_are_scored(serve: Serve) -> None:
    backend = HeldBiEncoder()
    models = serve(backend)
    backend.held.set()
    await models.scorer(None).score("m", "apple", TEXTS[:3])
    backend.held.clear()
    async with asyncio.TaskGroup() as searches:
        for n in range(QUEUE_JOBS):
            searches.create_task(models.scorer(None).score("m", "apple", [f"other {n}"]))
        await asyncio.sleep(0)  # each takes its first step, into the line
        with pytest.raises(Overloaded):
            await models.scorer(None).score("m", "apple", ["not stored"])
        scores = await models.scorer(None).score("m", "apple", TEXTS[:4])
        backend.held.set()
    assert [score is None for score in scores] == [False] * 3 + [True]


async def test_numbers_that_are_not_finite_are_refused_and_not_kept(
    serve: Serve, store: PassageStore
) -> None:
    with pytest.raises(BadScores):
        await serve(NotFinite()).scorer(None).score("m", "apple", TEXTS)
    assert len(store) == 0
    with pytest.raises(BadScores):
        await serve(NotFinitePairs()).scorer(None).score("m", "apple", TEXTS)


async def test_a_short_answer_is_refused(serve: Serve, store: PassageStore) -> None:
    with pytest.raises(BadScores):
        await serve(ShortAnswer()).scorer(None).score("m", "apple", TEXTS)
    assert len(store) == 0


async def test_an_unknown_model_lists_the_known(serve: Serve) -> None:
    with pytest.raises(ModelFailed, match=r"no model 'n' \(there are: m\)"):
        await serve(FakeBiEncoder()).scorer(None).score("n", "apple", TEXTS)


@pytest.mark.model
async def test_rounding_keeps_the_order_of_real_passages(
    minilm: Model, load: Callable[[Model], Models], english: list[str]
) -> None:
    """The order by stored vectors against the order by the model's own."""
    backend = SentenceTransformersBiEncoder(find_weights(minilm, Path()), "", None)
    query_text = "how are exceptions handled when an iterator is exhausted"
    exact = backend.embed_passages(english) @ backend.embed_queries([query_text])[0]
    same = minilm.model_copy(update={"backend": "sentence-transformers"})
    scores = await load(same).scorer(None).score("m", query_text, english)
    np.testing.assert_allclose(np.array(scores, np.float64), exact, atol=0.005)
    mine, theirs = (np.argsort(np.argsort(numbers)) for numbers in (np.array(scores), exact))
    assert np.corrcoef(mine, theirs)[0, 1] > 0.999


async def test_stored_passages_are_recalled_without_the_model(serve: Serve) -> None:
    backend = HeldBiEncoder()
    backend.held.set()
    models = serve(backend)
    scorer = models.scorer(None)
    assert await scorer.recall("m", "apple", TEXTS) is None
    assert backend.passages_read == 0, "what is not stored is left to `score`"
    read = await scorer.score("m", "apple", TEXTS)
    backend.held.clear()
    assert await scorer.recall("m", "apple", TEXTS) == read
    assert await scorer.recall("m", "apple", [*TEXTS, "new"]) is None
    assert await scorer.recall("m", "apple", TEXTS * 26) is None, "too much for one look"
    assert await scorer.recall("m", "apple", []) is None
    assert await scorer.recall("another", "apple", TEXTS) is None
    assert backend.passages_read == len(TEXTS)


async def test_what_needs_the_query_text_waits_for_the_deadline_alone(serve: Serve) -> None:
    backend = HeldQueries()
    models = serve(backend)
    backend.held.set()
    await models.scorer(None).score("m", "plum", TEXTS)
    backend.held.clear()
    with pytest.raises(DeadlinePassed):
        await models.scorer(time.monotonic() + 0.05).recall("m", "apple", TEXTS)
    backend.held.set()


async def test_pairs_cannot_be_recalled(serve: Serve) -> None:
    models = serve(FakeCrossEncoder())
    await models.scorer(None).score("m", "apple", TEXTS)
    assert await models.scorer(None).recall("m", "apple", TEXTS) is None
