"""Lets the model read further passages of long documents, for Retrieve.

To order documents, the plan reads at most `per_group` passages of each. That suffices for the
order, but Retrieve returns passages, and a long document may have many good ones.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from pipelines.errors import RescoreError
from pipelines.passages import Passage
from sidecar.kendra.answering.confidence import calibrate
from sidecar.kendra.answering.ranking import Ranking, RequestModels, ScoredPassage
from sidecar.kendra.indexes.found_documents import DocumentSet
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.passage_cutter import PassageCutter

MOST_TEXTS = 300
"""Maximum further passages that the model reads for one request: three times what a page shows."""

_log = logging.getLogger(__name__)


async def read_further(
    index: ServedIndex,
    query_text: str,
    document_set: DocumentSet,
    ranking: Ranking,
    models: RequestModels,
    passage_cutter: PassageCutter,
) -> Ranking:
    """The ranking with more passages of the documents that a model has read; the order stays.

    A document gets at most `passages_per_document`, the best by BM25. The first documents of the
    order are read first, up to `MOST_TEXTS` in all. Passages that the model does not reach in time
    are left out.
    """
    settings, plan = index.settings, index.plan
    most, per_group = settings.passages_per_document, plan.passages.per_group
    # A document with fewer passages has been read as a whole.
    long = {number for number, own in ranking.passages.items() if len(own) >= per_group}
    if not long or ranking.reason is not None or most <= per_group:
        return ranking
    deeper = plan.model_copy(
        update={"passages": plan.passages.model_copy(update={"per_group": most})}
    )
    hits = [
        hit
        for hit, number in zip(document_set.hits, document_set.numbers, strict=True)
        if number in long
    ]
    try:
        chosen = await passage_cutter.choose_passages(deeper, query_text, hits, models.deadline)
    except RescoreError as error:
        _log.info("further passages could not be cut: %s", error.reason)
        return ranking
    number_of = document_set.numbers
    unread: dict[int, list[Passage]] = {}
    for group, cut in zip(chosen.groups, chosen.passages, strict=True):
        number = number_of[group.documents[0].position]
        known = {passage.text for passage in ranking.passages[number]}
        unread[number] = [passage for passage in cut if passage.body not in known]
    wanted = [
        (ranking.models[number], number, passage)
        for number in ranking.order
        for passage in unread.get(number, ())
    ][:MOST_TEXTS]
    passages = dict(ranking.passages)
    for model in dict.fromkeys(model for model, _, _ in wanted):
        own = [(number, passage) for name, number, passage in wanted if name == model]
        texts = [passage.text for _, passage in own]
        try:
            scores = await models.scorer.score(model, query_text, texts)
        except RescoreError as error:
            _log.info("the model could not read further passages: %s", error.reason)
            continue
        for (number, passage), score in zip(own, scores, strict=True):
            if score is not None:
                probability = calibrate(score, model in index.cosines, settings.confidence)
                further = ScoredPassage(passage.body, score, probability)
                passages[number] = (*passages[number], further)
    return replace(
        ranking,
        passages={
            number: tuple(sorted(own, key=lambda passage: -passage.score))
            for number, own in passages.items()
        },
    )
