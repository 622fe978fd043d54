"""Documents in the order of the index's plan, by the same core, windows and models as the proxy.

Beside the order, this keeps what the models said of each passage: excerpts, answers and
Retrieve's passages are taken from it. Whatever goes wrong leaves OpenSearch's order, with a reason.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipelines.errors import RescoreError
from pipelines.rescore import Prepared, Rescoring, rescore
from pipelines.scoring import Scorer
from sidecar.kendra.confidence import calibrate
from sidecar.kendra.found_documents import Found
from sidecar.kendra.served_index import ServedIndex
from sidecar.split_documents import SplitDocuments

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """A passage that a model has read: without its title, its score, and what that means."""

    text: str
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of documents, by their numbers; every document is in it once.

    `values` are the fused values of the documents that were scored, `passages` what the models
    read of each, best first. `reason` says why there is no score, or not for all; None: all of
    the plan's window was scored.
    """

    order: tuple[int, ...]
    values: dict[int, float] = field(default_factory=dict)
    passages: dict[int, tuple[ReadPassage, ...]] = field(default_factory=dict)
    reason: str | None = None

    def probability(self, number: int) -> float | None:
        """How likely the document is relevant, by its best passage; None if it was not read."""
        passages = self.passages.get(number)
        return passages[0].probability if passages else None


@dataclass(frozen=True, slots=True)
class Models:
    """The models for one request, until a deadline in seconds of the monotonic clock."""

    scorer: Scorer
    deadline: float


async def rank_documents(
    index: ServedIndex, query_text: str, found: Found, models: Models, documents: SplitDocuments
) -> Ranking:
    """Put the documents into the plan's order; without any text to read they stay as they are."""
    as_found = tuple(range(len(found.documents)))
    if not found.documents or not query_text:
        return Ranking(as_found)
    recorder = _Recorder(models.scorer)
    window = found.hits[: index.plan.rescore_window]
    try:
        prepared = await documents.prepare(index.plan, query_text, window, models.deadline)
        rescoring = await rescore(index.plan, query_text, prepared, recorder)
    except RescoreError as error:
        return Ranking(as_found, reason=error.reason)
    except Exception:
        _log.exception("a rescoring for index %s failed; it is a bug", index.id)
        return Ranking(as_found, reason="error")
    return _read_rescoring(index, found, prepared, rescoring, recorder)


@dataclass(slots=True)
class _Recorder:
    """A scorer that remembers each model's score of each text."""

    scorer: Scorer
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        answer = await self.scorer.score(model, query_text, texts)
        known = self.scores.setdefault(model, {})
        known.update(
            (text, score) for text, score in zip(texts, answer, strict=True) if score is not None
        )
        return answer


def _read_rescoring(
    index: ServedIndex,
    found: Found,
    prepared: Prepared,
    rescoring: Rescoring,
    recorder: _Recorder,
) -> Ranking:
    number_of = found.numbers
    ranked = (number_of[hit.position] for hit in rescoring.ranking)
    order = dict.fromkeys([*ranked, *range(len(found.documents))])
    # The last stage that scored a document has the say; stages that failed scored none.
    model_of: dict[int, str] = {}
    values: dict[int, float] = {}
    for report in rescoring.hits:
        number = number_of[report.position]
        if report.fused is not None:
            values[number] = report.fused
        for stage, score in zip(rescoring.stages, report.scores, strict=True):
            if score is not None:
                model_of[number] = stage.model
    passages: dict[int, tuple[ReadPassage, ...]] = {}
    for group, cut in zip(prepared.groups, prepared.passages, strict=True):
        numbers = {number_of[document.position] for document in group.documents}
        model = next((model_of[number] for number in numbers if number in model_of), None)
        if model is None:
            continue
        scores = recorder.scores[model]
        read = [
            ReadPassage(
                passage.body,
                scores[passage.text],
                calibrate(scores[passage.text], model in index.cosines, index.settings.confidence),
            )
            for passage in cut
            if passage.text in scores
        ]
        best_first = tuple(sorted(read, key=lambda passage: -passage.score))
        passages.update(dict.fromkeys(numbers, best_first))
    late = any(stage.scored < stage.groups for stage in rescoring.stages)
    reason = next((stage.reason for stage in rescoring.stages if stage.reason), None)
    return Ranking(tuple(order), values, passages, reason or ("deadline" if late else None))


def lift(ranking: Ranking, ratings: Sequence[float] | None, weight: float) -> Ranking:
    """The order with relevance tuning in it.

    `ratings` has each document's, by number. Fused values are scaled to 0..1 over the documents
    that have one, and `weight` x rating is added; these documents change places among themselves.
    Without ratings, or without values, in which case OpenSearch's own order has the tuning in it
    already, nothing changes.
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
    # Sorting is stable: ties keep the order before.
    best = iter(sorted((n for n in ranking.order if n in lifted), key=lambda n: -lifted[n]))
    order = tuple(next(best) if number in lifted else number for number in ranking.order)
    return replace(ranking, order=order, values=lifted)
