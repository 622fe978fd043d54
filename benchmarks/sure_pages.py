"""How often a page is sure before everything is read, and what the order of reading is worth.

    python benchmarks/sure_pages.py --data ../shared/data --kept FOLDER
    python benchmarks/sure_pages.py --data ../shared/data --kept FOLDER --only scifact,cacm

Writes docs/sure-pages.md. FOLDER is that of `benchmarks/student.py`: each collection's windows
(`NAME.jsonl.gz`, written if they are missing) and the model's vectors. Windows are those of a real
OpenSearch with its default analyzer. The product's ranking core reads them, with the model's stored
vectors in the place of the model, eight passages at a time as the product does.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.judged_collections import read_collections
from benchmarks.quality import ROOT, shipped_plan
from benchmarks.student import fetch, load_kept, read_documents, read_lines
from benchmarks.sure_pages_report import Early, Reading, write_report
from pipelines.choosing import ChosenPassages, choose_document_passages
from pipelines.errors import DeadlinePassed
from pipelines.measures import ndcg
from pipelines.plan import Plan
from pipelines.rescore import rescore
from pipelines.scoring import Enough, Scorer
from sidecar.metrics import Metrics
from sidecar.models.passage_store import passage_digest
from sidecar.models.scheduling import CHUNK_TEXTS
from sidecar.models.scorers import BiEncoderScorer
from sidecar.models.students.estimating import Estimator
from sidecar.models.students.readings import read_readings
from sidecar.models.students.teaching import make_first_student
from sidecar.models.vectors import cosines

PLACES = 10
EVERY = 1_000_000
BUDGETS = (8, 16, 24, EVERY)
HIGHEST = (1.0, 0.85)
KNOWN = (0.0, 0.5)
_SEED = 2026
_TIMED = 12

_RELATIVE = {
    "stages": [{"model": "minilm"}],
    "fusion": {"method": "relative", "weight": 5, "lexical": 0.3, "short_query_words": 6},
}


@dataclass(slots=True)
class Search:
    """One query, its window, and every score that the model gives the passages of it."""

    text: str
    grades: Mapping[str, float]
    ids: Sequence[str]
    chosen: ChosenPassages
    short: ChosenPassages
    """The best passage of 60 words of each hit."""

    scores: Mapping[str, float]
    expected: Mapping[str, float | None]


@dataclass(slots=True)
class Reader(Scorer):
    """Knows some passages, and reads others until it has enough or has read `most`."""

    search: Search
    model_spread: float
    known: frozenset[str] = frozenset()
    most: int = EVERY
    bound: float = 1.0
    student: bool = False
    read: set[str] = field(default_factory=set)

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        return await self.score_until(model, query_text, texts, lambda _: False)

    async def score_until(
        self, model: str, query_text: str, texts: Sequence[str], enough: Enough
    ) -> Sequence[float | None]:
        missing = [one for one in dict.fromkeys(texts) if one not in self.known][: self.most]
        while len(self.read) < len(missing) and not enough(self._answer(texts)):
            self.read.update(missing[len(self.read) : len(self.read) + CHUNK_TEXTS])
        answer = self._answer(texts)
        if all(score is None for score in answer):
            raise DeadlinePassed("nothing was read")
        return answer

    def _answer(self, texts: Sequence[str]) -> list[float | None]:
        known = self.known | self.read
        return [self.search.scores[text] if text in known else None for text in texts]

    def highest(self, model: str) -> float:
        return self.bound

    def spread(self, model: str) -> float:
        return self.model_spread

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        return [self.search.expected[text] for text in texts] if self.student else None


async def prepare(
    path: Path, queries: int, model: BiEncoderScorer, estimator: Estimator
) -> list[Search]:
    """The searches of a collection to measure, at most `queries`; the model reads new passages."""
    plan, short = shipped_plan("fused"), shipped_plan("fused", passages=_SHORT)
    lines = list(read_lines(path))
    if len(lines) > queries:
        lines = [lines[k] for k in random.Random(_SEED).sample(range(len(lines)), queries)]  # noqa: S311
    searches = []
    for line in lines:
        if not line["hits"]:
            continue
        documents = read_documents(line["hits"])
        windows = [choose_document_passages(one, line["text"], documents) for one in (plan, short)]
        texts = sorted({one.text for two in windows for some in two.passages for one in some})
        await model.fill(texts)
        [query] = await model.embed([line["text"]], float("inf"), as_queries=True)
        _, vectors = model.store.get([passage_digest(text) for text in texts])
        expected = await estimator.estimate(query, texts)
        assert expected is not None
        searches.append(
            Search(
                line["text"],
                line["grades"],
                [hit["_id"] for hit in line["hits"]],
                windows[0],
                windows[1],
                dict(zip(texts, cosines(vectors, query), strict=True)),
                dict(zip(texts, expected, strict=True)),
            )
        )
    await model.flush()
    return searches


_SHORT = {"words": 60, "per_group": 1}


async def measure_early(
    name: str, searches: Sequence[Search], spread: float, method: str, plan: Plan
) -> list[Early]:
    """How early pages are sure, by the highest score that is assumed and what is stored."""
    rows = []
    whole = [await _order(plan, search, Reader(search, spread), None) for search in searches]
    for bound in HIGHEST:
        for share in KNOWN:
            row = Early(name, method, bound, share)
            for number, search in enumerate(searches):
                draw = random.Random(number)  # noqa: S311
                texts = sorted({one.text for some in search.chosen.passages for one in some})
                known = frozenset(text for text in texts if draw.random() < share)
                unread = len(set(texts) - known)
                if not unread:
                    continue
                reader = Reader(search, spread, known, bound=bound, student=plan.student == "auto")
                page = await _order(plan, search, reader, PLACES)
                row.words.append(search.chosen.evidence.query_words)
                row.unread.append(unread)
                row.read.append(len(reader.read))
                row.wrong += page[:PLACES] != whole[number][:PLACES]
            rows.append(row)
    return rows


async def _order(
    plan: Plan, search: Search, reader: Reader, places: int | None, *, breadth_first: bool = True
) -> list[str]:
    rescoring = await rescore(
        plan, search.text, search.chosen, reader, breadth_first=breadth_first, places=places
    )
    return [search.ids[one.position] for one in rescoring.ranking]


async def measure_reading(
    name: str, searches: Sequence[Search], spread: float, ratio: float
) -> list[Reading]:
    """The gain in nDCG@10 by what is read first; `ratio`: short passages in the time of one."""
    fused = shipped_plan("fused", student="auto")
    relative = shipped_plan("fused", **_RELATIVE)
    rows = []
    for label, plan, student, short, breadth in (
        ("`relative`, all passages of a hit at once", relative, False, False, False),
        ("`relative`, breadth first", relative, False, False, True),
        ("`fused`", fused, False, False, True),
        ("`fused`, first passage of 60 words", fused, False, True, True),
        ("`fused`, student", fused, True, False, True),
        ("`fused`, student, first passage of 60 words", fused, True, True, True),
    ):
        row = Reading(name, label)
        for budget in BUDGETS:
            gains = []
            for search in searches:
                most = round(budget * ratio) if short else budget
                reader = Reader(search, spread, most=most, student=student)
                chosen = search.short if short else search.chosen
                try:
                    rescoring = await rescore(
                        plan, search.text, chosen, reader, breadth_first=breadth
                    )
                    ranked = [search.ids[one.position] for one in rescoring.ranking]
                except DeadlinePassed:  # no hit was read whole
                    ranked = list(search.ids)
                gains.append(
                    ndcg(search.grades, ranked, PLACES) - ndcg(search.grades, search.ids, PLACES)
                )
            row.gains[budget] = fmean(gains)
        rows.append(row)
    return rows


async def time_ratio(model: BiEncoderScorer, searches: Sequence[Search]) -> float:
    """How many passages of 60 words the model reads in the time of one of 120: CPU time."""
    seconds: tuple[list[float], list[float]] = ([], [])
    draw = random.Random(_SEED)  # noqa: S311
    for _ in range(_TIMED):
        search = draw.choice(searches)
        for into, chosen in zip(seconds, (search.chosen, search.short), strict=True):
            firsts = [some[0].text for some in chosen.passages if some][:CHUNK_TEXTS]
            started = time.process_time()
            await model.embed(firsts, float("inf"), as_queries=False)
            into.append((time.process_time() - started) / len(firsts))
    return float(np.median(seconds[0]) / np.median(seconds[1]))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--only", default="")
    parser.add_argument("--short", default="sample,cacm")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "sure-pages.md")
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, options.only.split(",")))
    # The bundled collection is in the folder `sample`.
    collections = [*read_collections(options.data), *read_collections(ROOT / "sidecar")]
    collections = [one for one in collections if not only or one.name in only]
    if only:
        collections.sort(key=lambda one: options.only.split(",").index(one.name))
    await fetch(collections, options.kept)
    models, model = load_kept(options.kept)
    assert model.teacher is not None
    early: list[Early] = []
    readings: list[Reading] = []
    ratios: list[float] = []
    done: list[str] = []
    try:
        estimator = Estimator("m", model.teacher.read_pieces, 2**29, Metrics())
        known = read_readings(model.teacher.readings, model.dimensions)
        assert known is not None
        estimator.use(make_first_student(model.identity, known))
        plans = {
            "additive": shipped_plan("fused", student="auto"),
            "relative": shipped_plan("fused", **_RELATIVE),
        }
        for one in collections:
            searches = await prepare(
                options.kept / f"{one.name}.jsonl.gz", options.queries, model, estimator
            )
            for method, plan in plans.items():
                early += await measure_early(one.name, searches, model.spread, method, plan)
            if one.name in options.short.split(","):
                ratios.append(await time_ratio(model, searches))
                readings += await measure_reading(one.name, searches, model.spread, ratios[-1])
            print(one.name, len(searches), flush=True)
            done.append(one.name)
            written = f"--queries {options.queries} --only {','.join(done)} --short {options.short}"
            write_report(options.report, written, early, readings, fmean(ratios or [1.0]))
    finally:
        models.close()


if __name__ == "__main__":
    asyncio.run(main())
