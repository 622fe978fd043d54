"""Puts documents into the order of the index's plan, with the same core and models as the proxy.

The ranking also holds the models' score of each passage, from which excerpts, answers and the
passages of Retrieve are chosen. If rescoring fails, OpenSearch's order remains, with a reason.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipelines.errors import RescoreError
from pipelines.rescore import ChosenPassages, Rescoring, rescore
from pipelines.scoring import Scorer
from sidecar.event_loop.loop_turns import next_turn
from sidecar.kendra.answering.confidence import calibrate, never_rising
from sidecar.kendra.indexes.found_documents import DocumentSet
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.passage_cutter import PassageCutter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage that a model has read. `text` is without the title.

    `probability`: that the passage is relevant, calibrated from `score`.
    """

    text: str
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """An order of documents. Documents are named by their numbers, and each is in `order` once.

    `values` holds the fused value of each document that was scored. `passages` holds the passages
    of each document that a model has read, best first, and `models` the name of that model.
    `unread` are the documents that a model should have read but has not, because it was late or
    failed. `reason` says why documents of the plan's window have no score; None if all have one.
    """

    order: tuple[int, ...]
    values: dict[int, float] = field(default_factory=dict)
    passages: dict[int, tuple[ScoredPassage, ...]] = field(default_factory=dict)
    reason: str | None = None
    models: dict[int, str] = field(default_factory=dict)
    unread: frozenset[int] = frozenset()

    def probability(self, number: int) -> float | None:
        """The probability that a document is relevant: that of its best passage.

        None if no model has read it.
        """
        passages = self.passages.get(number)
        return passages[0].probability if passages else None

    def smooth_probabilities(self) -> dict[int, float | None]:
        """The probability of each document, by number, such that none rises down the order."""
        probabilities = never_rising([self.probability(number) for number in self.order])
        return dict(zip(self.order, probabilities, strict=True))


@dataclass(frozen=True, slots=True)
class RequestModels:
    """The models for one request. `deadline`: in seconds of the monotonic clock."""

    scorer: Scorer
    deadline: float


async def rank_documents(
    index: ServedIndex,
    query_text: str,
    document_set: DocumentSet,
    models: RequestModels,
    splitter: PassageCutter,
) -> Ranking:
    """Put the documents into the plan's order. Without a query text, OpenSearch's order remains.

    The models read breadth first: the best passage of each document, then the second ones. If time
    ends before all documents have one passage read, the others follow those that have.
    """
    original_order = tuple(range(len(document_set.documents)))
    if not document_set.documents or not query_text:
        return Ranking(original_order)
    recorder = _Recorder(models.scorer)
    window = document_set.hits[: index.plan.rescore_window]
    try:
        chosen = await splitter.choose_passages(index.plan, query_text, window, models.deadline)
        await next_turn()
        rescoring = await rescore(index.plan, query_text, chosen, recorder, breadth_first=True)
        await next_turn()
    except RescoreError as error:
        return keep_original_order(document_set, error.reason)
    except Exception:
        _log.exception("rescoring for index %s failed; please report this bug", index.id)
        return keep_original_order(document_set, "error")
    return _read_rescoring(index, document_set, chosen, rescoring, recorder)


def keep_original_order(document_set: DocumentSet, reason: str) -> Ranking:
    """OpenSearch's order, for this reason; no document is read."""
    numbers = range(len(document_set.documents))
    return Ranking(tuple(numbers), reason=reason, unread=frozenset(numbers))


@dataclass(slots=True)
class _Recorder(Scorer):
    """A scorer that records each model's score of each text."""

    scorer: Scorer
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        answer = await self.scorer.score(model, query_text, texts)
        scores = self.scores.setdefault(model, {})
        scores.update(
            (text, score) for text, score in zip(texts, answer, strict=True) if score is not None
        )
        return answer

    def spread(self, model: str) -> float:
        """See `Scorer`."""
        return self.scorer.spread(model)

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """See `Scorer`."""
        return await self.scorer.estimate(model, query_text, texts)


def _read_rescoring(
    index: ServedIndex,
    document_set: DocumentSet,
    chosen: ChosenPassages,
    rescoring: Rescoring,
    recorder: _Recorder,
) -> Ranking:
    number_of = document_set.numbers
    ranked = dict.fromkeys(number_of[hit.position] for hit in rescoring.ranking)
    # The last stage that scored a document counts. A stage that failed has scored none.
    model_of: dict[int, str] = {}
    values: dict[int, float] = {}
    for report in rescoring.hits:
        number = number_of[report.position]
        if report.fused is not None:
            values[number] = report.fused
        for stage, score in zip(rescoring.stages, report.scores, strict=True):
            if score is not None:
                model_of[number] = stage.model
    passages: dict[int, tuple[ScoredPassage, ...]] = {}
    models: dict[int, str] = {}
    unread: set[int] = set()
    to_read = index.plan.stages[0].take or len(chosen.groups)
    for group, cut in zip(chosen.groups, chosen.passages, strict=True):
        to_read -= bool(cut)
        numbers = {number_of[document.position] for document in group.documents}
        model = next((model_of[number] for number in numbers if number in model_of), None)
        if model is None:
            if cut and to_read >= 0:
                unread |= numbers
            continue
        scores = recorder.scores[model]
        scored = [
            ScoredPassage(
                passage.body,
                scores[passage.text],
                calibrate(scores[passage.text], model in index.cosines, index.settings.confidence),
            )
            for passage in cut
            if passage.text in scores
        ]
        best_first = tuple(sorted(scored, key=lambda passage: -passage.score))
        passages.update(dict.fromkeys(numbers, best_first))
        models.update(dict.fromkeys(numbers, model))
    late = any(stage.scored < stage.groups for stage in rescoring.stages)
    reason = next((stage.reason for stage in rescoring.stages if stage.reason), None)
    read_first = sorted(ranked, key=unread.__contains__)
    order = dict.fromkeys([*read_first, *range(len(document_set.documents))])
    return Ranking(
        tuple(order),
        values,
        passages,
        reason or ("deadline" if late else None),
        models,
        frozenset(unread),
    )


def lift(ranking: Ranking, ratings: Sequence[float] | None, weight: float) -> Ranking:
    """Apply relevance tuning to a ranking.

    `ratings` holds the rating of each document, by number. Fused values are scaled to 0..1 over the
    documents that have one, and `weight` x rating is added. These documents change places among
    themselves. Without ratings nothing changes. Without fused values nothing changes either, as
    OpenSearch's own order includes the tuning already.
    """
    values = ranking.values
    if ratings is None or not values:
        return ranking
    least, most = min(values.values()), max(values.values())
    span = most - least or 1.0
    lifted = {
        number: (value - least) / span + weight * ratings[number]
        for number, value in values.items()
    }
    # Sorting is stable: ties keep their earlier order.
    best = iter(sorted((n for n in ranking.order if n in lifted), key=lambda n: -lifted[n]))
    order = tuple(next(best) if number in lifted else number for number in ranking.order)
    return replace(ranking, order=order, values=lifted)
