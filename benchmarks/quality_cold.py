"""What a cold search gains: the ranking core on real windows, with models that read few passages.

A deadline decides how many passages the models read, and a machine how many that is: two cores read
8 to 24 passages of all-MiniLM-L6-v2 in the shipped 200 ms. So the number is fixed here, and the
figures do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession

from benchmarks.judged_collections import JudgedCollection
from pipelines.measures import ndcg
from pipelines.plan import Plan
from pipelines.scoring import Scorer
from sidecar.evaluation.comparison import CUT, NOTABLE
from sidecar.evaluation.offline import fetch_window, order_by_plans
from sidecar.models.scorers import Models
from sidecar.passage_cutter import PassageCutter

READ: tuple[int | None, ...] = (8, 16, 24, 50, None)
"""Passages that the first stage reads of a window; None: all."""

_SPLIT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class _FirstTexts(Scorer):
    """Scores the first texts of each call alone, as a deadline does."""

    behind: Scorer
    most: int | None

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        read = texts if self.most is None else texts[: self.most]
        scores = await self.behind.score(model, query_text, read)
        return [*scores, *([None] * (len(texts) - len(read)))]

    def spread(self, model: str) -> float:
        return self.behind.spread(model)


async def measure_cold(
    session: ClientSession,
    search_url: str,
    collection: JudgedCollection,
    plans: Mapping[str, Plan],
    models: Models,
    body: Callable[[str, int], dict[str, Any]],
    advance: Callable[[], object],
) -> list[dict[str, Any]]:
    """One row for each plan and each number of passages that were read."""
    gains: dict[tuple[str, int | None], list[float]] = {}
    first = next(iter(plans.values()))
    with closing(PassageCutter(_SPLIT_BYTES)) as passage_cutter:
        for query, text in collection.texts.items():
            grades = collection.qrels[query]
            window = await fetch_window(
                session, search_url, body(text, first.rescore_window), first
            )
            direct = ndcg(grades, window.ranked_ids, CUT)
            for most in READ:
                for name, plan in plans.items():
                    # Each with a scorer of its own: what one plan reads, another does not know.
                    scorer = _FirstTexts(models.scorer(None), most)
                    [order] = await order_by_plans(window, [plan], scorer, passage_cutter.split)
                    gains.setdefault((name, most), []).append(ndcg(grades, order, CUT) - direct)
            advance()
    return [
        {
            "collection": collection.name,
            "plan": name,
            "read": most,
            "gain": sum(values) / len(values),
            "helped": sum(gain > NOTABLE for gain in values) / len(values),
            "harmed": sum(gain < -NOTABLE for gain in values) / len(values),
        }
        for (name, most), values in gains.items()
    ]
