"""QUESTION_ANSWER results: the FAQ entries whose questions the model finds likely."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pipelines.errors import RescoreError
from pipelines.scoring import Scorer
from sidecar.kendra.answering.confidence import calibrate
from sidecar.kendra.asking.faq import FaqEntry
from sidecar.kendra.indexes.served_index import ServedIndex

MOST_ENTRIES = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaqResult:
    """An entry, and the probability that it answers the query."""

    entry: FaqEntry
    probability: float


async def choose_faq(
    index: ServedIndex, query_text: str, entries: list[FaqEntry], scorer: Scorer | None
) -> list[FaqResult]:
    """The entries whose questions are likely enough by the model: at most four, the best first.

    Without a model there are none: shared words alone do not make an answer.
    """
    faq = index.settings.faq
    if faq is None or not entries or scorer is None:
        return []
    model = index.plan.stages[-1].model
    try:
        scores = await scorer.score(model, query_text, [entry.question for entry in entries])
    except RescoreError as error:
        _log.info("no questions and answers: %s", error.reason)
        return []
    least = max(faq.threshold, index.settings.confidence.medium)
    results = [
        FaqResult(entry, calibrate(score, model in index.cosines, index.settings.confidence))
        for entry, score in zip(entries, scores, strict=True)
        if score is not None
    ]
    likely = [result for result in results if result.probability >= least]
    return sorted(likely, key=lambda result: -result.probability)[:MOST_ENTRIES]
