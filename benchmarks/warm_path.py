"""(f) What one warm rescored search costs inside the sidecar, step by step, without a network.

`python -m benchmarks.warm_path` is this part alone.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
import yaml

from benchmarks.figures import Bar, Part, Table, spread
from pipelines.plan import Plan
from pipelines.rescore import rescore
from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, read_collection
from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.passage_store import PassageStore
from sidecar.models.scorers import BiEncoderScorer, Models
from sidecar.opensearch.known_sources import KnownSources
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.search_response import read_search_response, splice_response
from sidecar.passage_cutter import PassageCutter

ROOT: Final = Path(__file__).resolve().parents[1]
_WINDOWS: Final = (25, 100)
_DIMENSIONS: Final = 384
_PAGE: Final = 10
_WORDS: Final = 240  # so that most documents have three passages of 120 words
_HOW = (
    "One search of the shipped plan with everything known: its documents were cut before, and the"
    " vectors of their passages and of the query text are stored. Answers of OpenSearch with"
    f" documents of about {_WORDS} words, one after the other in one thread, without a network and"
    " without a model (vectors are random). Milliseconds of the processor's time: the least of"
    " many searches, because other work can only add to it."
)


@dataclass(frozen=True, slots=True)
class _Steps:
    """Seconds of the processor's time of one search, by step; the steps add up to the whole."""

    read: float
    cut: float
    score: float
    answer: float

    @property
    def whole(self) -> float:
        return self.read + self.cut + self.score + self.answer


class RandomBackend:
    """A bi-encoder whose vectors are random, the same for the same text."""

    identity = "random"
    dimensions = _DIMENSIONS

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        """Shape (len(texts), dimensions), each of length 1."""
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """Shape (len(texts), dimensions), each of length 1."""
        rows = [
            np.random.default_rng(len(text) + 1000 * ord(text[-2])).standard_normal(_DIMENSIONS)
            for text in texts
        ]
        vectors: FloatArray = np.array(rows, np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Each window, many times."""
    rows = []
    bars: tuple[Bar, ...] = ()
    for window in _WINDOWS:
        step(f"{window} hits")
        rounds = asyncio.run(measure_window(window, 20 if quick else 200))
        best = [min(getattr(one, name) for one in rounds) for name in _Steps.__slots__]
        whole = min(one.whole for one in rounds)
        rows.append((f"{window} hits", *(f"{1000 * value:.2f}" for value in (*best, whole))))
        if window == max(_WINDOWS):
            figure = spread([1000 * whole], " ms", 2)
            bars = (
                Bar(
                    f"inside the sidecar, warm, window {window}, without HTTP",
                    figure,
                    "most",
                    3,
                    1.5,
                ),
            )
    return Part(
        "warm",
        "The warm path, step by step",
        _HOW,
        (
            Table(
                "One warm search, ms of the processor at the least",
                ("", "read the answer", "cut and count words", "score and fuse", "write", "whole"),
                tuple(rows),
                "The whole is the least of any one search, so the steps may add up to less.",
            ),
        ),
        bars,
    )


async def measure_window(window: int, searches: int) -> list[_Steps]:
    """The times of that many searches with a window of `window` hits, each with another query."""
    plan = _shipped_plan(window)
    cutter, known = PassageCutter(256 << 20), KnownSources(64 << 20)
    store = PassageStore(_DIMENSIONS, 256 << 20)
    scorer = BiEncoderScorer("minilm", RandomBackend(), store, Metrics())
    models = Models({"minilm": scorer})
    texts = list(read_collection(SAMPLE).queries.values())
    contents = [_write_answer(window, seed) for seed in range(4)]
    gc.collect()
    gc.disable()  # a collection would count in whichever search it meets
    try:
        rounds = []
        for number in range(-len(contents) * 2, searches):
            text = texts[number % len(texts)]
            await models.scorer(None).score("minilm", text, ["a text that is stored"])
            content = contents[number % len(contents)]
            times = await _search(plan, text, content, cutter, known, models)
            if number >= 0:  # before, everything is read for the first time
                rounds.append(times)
        return rounds
    finally:
        gc.enable()
        models.close()
        cutter.close()


async def _search(
    plan: Plan,
    text: str,
    content: bytes,
    cutter: PassageCutter,
    known: KnownSources,
    models: Models,
) -> _Steps:
    clock = time.thread_time
    started = clock()
    search_response = read_search_response(content, known=known)
    hits = search_response.window(plan.rescore_window)
    read = clock()
    chosen = await cutter.choose_passages(plan, text, hits)
    cut = clock()
    rescoring = await rescore(plan, text, chosen, models.scorer(None))
    scored = clock()
    order = tuple((one.position, one.score) for one in rescoring.ranking)
    Outcome(
        "fused", "applied", window=len(hits), scored=rescoring.scored, model="minilm", ms=1.0
    ).header()
    splice_response(search_response, order, 0, _PAGE, plan.scores)
    return _Steps(read - started, cut - read, scored - cut, clock() - scored)


def _shipped_plan(window: int) -> Plan:
    values = yaml.safe_load((ROOT / "config" / "plans" / "fused.yaml").read_text(encoding="utf-8"))
    document = {"title": "title", "body": "text"}
    return Plan.model_validate({**values, "rescore_window": window, "document": document})


def _write_answer(window: int, seed: int) -> bytes:
    """An answer with documents of the sample, each made of two of its texts."""
    documents = endless_documents(read_collection(SAMPLE))
    chosen = list(islice(documents, seed * 2 * window, (seed + 1) * 2 * window))
    hits = [
        {
            "_index": "texts",
            "_id": one.id,
            "_score": 30.0 - 0.1 * place,
            "_source": {"title": one.title, "text": _cut(f"{one.text} {other.text}")},
        }
        for place, one, other in zip(count(), chosen[::2], chosen[1::2], strict=False)
    ]
    return json.dumps(
        {
            "took": 3,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": 1000, "relation": "gte"},
                "max_score": 30.0,
                "hits": hits,
            },
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def _cut(text: str) -> str:
    return " ".join(text.split(" ")[:_WORDS])


if __name__ == "__main__":
    from benchmarks.document import print_lines

    print("\n".join(print_lines(measure(False, lambda text: None))))
