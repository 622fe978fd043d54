"""Caches the order of each question's documents, so that its pages agree.

While passage vectors are missing, the models score other passages each time, and each time the
order differs. So the further pages of a question use the scores that the models gave for its first
page, and its order. The first page always starts anew.

An order has hashes of documents and of texts, with their scores; no texts, and nothing that a
caller could see. Each page searches OpenSearch again, which decides what the caller may see. So an
order need not end when documents or indexes do.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan

from pipelines.errors import DeadlinePassed, RescoreError
from pipelines.scoring import Scorer
from sidecar.expiring_cache import ExpiringCache, NoOtherCaches, OtherCaches
from sidecar.kendra.answering.ranking import Ranking
from sidecar.kendra.indexes.found_documents import DocumentSet

_KIND = "kendra"
_ALONE = NoOtherCaches()
_ENTRY_BYTES = 16
_BYTES = 700


@dataclass(frozen=True, slots=True)
class CachedOrder:
    """The order of a question's documents, and the models' scores of its texts.

    `documents` and `texts` have hashes, which are only valid in this process and its
    sibling workers. `values` has the
    fused value of each document, `scores` the score of each text; NaN if there is none. `reason`
    is the ranking's. `models`: whether there were models. `time`: in seconds since the epoch, for
    tuning by age.
    """

    time: float
    models: bool
    reason: str | None
    documents: array[int]
    values: array[float]
    texts: array[int]
    scores: array[float]

    @property
    def size(self) -> int:
        """About how many bytes of memory the order takes."""
        return _BYTES + _ENTRY_BYTES * (len(self.documents) + len(self.texts))


@dataclass(slots=True)
class PageOrder:
    """The order for one request: that of the question's earlier pages, or a new one.

    `models`: whether models may be used; False if there were none for the earlier pages.
    """

    time: float
    cached: CachedOrder | None = None
    models: bool = True
    scores: dict[int, float] = field(default_factory=dict)
    ranking: Ranking | None = None
    names: Sequence[int] = ()

    @property
    def failed(self) -> str | None:
        """Why the earlier pages have OpenSearch's order; None if they do not."""
        return self.cached.reason if self.cached and all(map(isnan, self.cached.values)) else None

    def scorer(self, scorer: Scorer) -> Scorer:
        """A scorer that gives the scores of the earlier pages, and asks this one for the rest."""
        return _Remembering(scorer, self.scores)

    def settle(self, ranking: Ranking, document_set: DocumentSet) -> Ranking:
        """The ranking, in the order of the earlier pages.

        Documents that the earlier pages did not have follow, without a score.
        """
        self.names = list(_hash_documents(document_set))
        if self.cached is not None:
            ranking = _apply(self.cached, ranking, self.names)
        self.ranking = ranking
        return ranking


class PageOrders:
    """The orders of the most recent questions. Belongs to one event loop."""

    def __init__(self, seconds: float, max_bytes: int, others: OtherCaches = _ALONE) -> None:
        """`others`: the other workers' caches."""
        self._orders = ExpiringCache[CachedOrder](seconds, max_bytes)
        self._others = others

    async def open(self, key: bytes, start: int, time: float) -> PageOrder:
        """The order for a page that starts with this result; `key` names question and caller."""
        self._others.offer(_KIND, self._orders.find_entry)
        if start:
            await self._orders.catch_up(self._others, _KIND, key)
        else:
            self._orders.forget(key)
        cached = self._orders.find(key)
        if cached is None:
            return PageOrder(time)
        scores = dict(zip(cached.texts, cached.scores, strict=True))
        return PageOrder(cached.time, cached, cached.models, scores)

    def keep(self, key: bytes, order: PageOrder) -> None:
        """Cache the order for further pages; its time starts again."""
        ranking = order.ranking
        if ranking is None:
            return
        cached = CachedOrder(
            order.time,
            order.models,
            ranking.reason,
            array("q", (order.names[number] for number in ranking.order)),
            array("d", (ranking.values.get(number, nan) for number in ranking.order)),
            array("q", order.scores),
            array("d", order.scores.values()),
        )
        self._orders.put(key, key, cached, cached.size)


@dataclass(frozen=True, slots=True)
class _Remembering(Scorer):
    """A scorer whose first answer for a text stands, even if it is that the text was not read."""

    scorer: Scorer
    scores: dict[int, float]

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        # Python's own hash is fast, and keyed by a secret of the process.
        keys = [hash((model, query_text, text)) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.scores}
        if new:
            self.scores.update(dict.fromkeys(new, nan))
            try:
                answer = await self.scorer.score(model, query_text, list(new.values()))
            except RescoreError:
                if len(new) == len(set(keys)):
                    raise
            else:
                self.scores.update(
                    (key, score)
                    for key, score in zip(new, answer, strict=True)
                    if score is not None
                )
        scores = [self.scores[key] for key in keys]
        if scores and all(map(isnan, scores)):
            raise DeadlinePassed(f"model {model!r} read no text before the deadline")
        return [None if isnan(score) else score for score in scores]

    def spread(self, model: str) -> float:
        """See `Scorer`."""
        return self.scorer.spread(model)

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """See `Scorer`."""
        return await self.scorer.estimate(model, query_text, texts)


def _apply(cached: CachedOrder, ranking: Ranking, names: Sequence[int]) -> Ranking:
    places = {name: place for place, name in enumerate(cached.documents)}
    behind = len(places)
    order = sorted(ranking.order, key=lambda number: places.get(names[number], behind))
    values = {
        number: cached.values[places[names[number]]]
        for number in order
        if names[number] in places and not isnan(cached.values[places[names[number]]])
    }
    passages = {number: read for number, read in ranking.passages.items() if number in values}
    return replace(
        ranking,
        order=tuple(order),
        values=values,
        passages=passages,
        reason=cached.reason,
        unread=ranking.unread | (ranking.passages.keys() - values.keys()),
    )


def _hash_documents(document_set: DocumentSet) -> Iterator[int]:
    """A hash of each document's id, and of how often it came before."""
    count: dict[str, int] = {}
    for document in document_set.documents:
        number = count.get(document.id, 0)
        count[document.id] = number + 1
        yield hash((document.id, number))
