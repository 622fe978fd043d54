"""(i) How fast `sidecar warm` reads passages, beside sentence-transformers at its best."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.figures import Bar, Part, Table, spread
from benchmarks.weights import bi_encoder_folder
from pipelines.documents import Document
from pipelines.passages import split_document
from pipelines.sentence_passages import SentencePassages
from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, read_collection

ROOT: Final = Path(__file__).resolve().parents[1]
_ENGINES: Final = ("sentence-transformers", "warm")
_PASSAGES: Final = 300
_HOW = (
    "all-MiniLM-L6-v2 on different passages of the bundled sample, cut as the shipped plan cuts"
    f" them, {_PASSAGES} in a round. warm: the model and the store of `sidecar warm`, without a"
    " cluster. sentence-transformers: `encode` with batches of 32, which it sorts by length. Each"
    " is a process of its own with its default threads, and they take turns."
)


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Both engines, in turn."""
    rounds, size = (1, 100) if quick else (3, _PASSAGES)
    texts = _different_passages()
    seconds: dict[str, list[float]] = {name: [] for name in _ENGINES}
    with ExitStack() as stack:
        reads: dict[str, Callable[[list[str]], float]] = {}
        for name in _ENGINES:
            step(f"starting {name}")
            reads[name] = stack.enter_context(_engine(name))
            reads[name](list(islice(texts, 16)))
        for number in range(rounds):
            batch = list(islice(texts, size))
            random.Random(number).shuffle(batch)  # noqa: S311 - an order, not a secret
            for name in _ENGINES:
                step(f"round {number + 1} of {rounds}: {name}")
                seconds[name].append(reads[name](batch))
    pace = {name: [size / one for one in seconds[name]] for name in _ENGINES}
    times = [
        ours / theirs
        for ours, theirs in zip(pace["warm"], pace["sentence-transformers"], strict=True)
    ]
    return Part(
        "filling",
        "Reading an index before the first search",
        _HOW,
        (
            Table(
                "Passages a second",
                ("", "passages a second"),
                tuple((name, spread(pace[name], digits=0)) for name in _ENGINES),
            ),
        ),
        (
            Bar(
                "`sidecar warm`, passages a second against `encode` with batches of 32",
                spread(times, "x"),
                "least",
                3,
                5,
            ),
        ),
    )


def _different_passages() -> Iterator[str]:
    seen: set[str] = set()
    for document in endless_documents(read_collection(SAMPLE)):
        whole = Document(0, document.title, document.text, 1.0, None)
        for part in split_document(whole, SentencePassages()):
            if part.text not in seen:
                seen.add(part.text)
                yield part.text


@contextmanager
def _engine(name: str) -> Iterator[Callable[[list[str]], float]]:
    """A process that reads texts, and says how many seconds it took."""
    with subprocess.Popen(  # noqa: S603 - a program of this folder
        [sys.executable, "-m", "benchmarks.engines.filling", name, bi_encoder_folder()],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the libraries' own progress bars
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        sent, received = process.stdin, process.stdout

        def answer() -> dict[str, float]:
            line = received.readline()
            if not line:
                raise RuntimeError(f"{name} ended early")
            values: dict[str, float] = json.loads(line)
            return values

        def read(texts: list[str]) -> float:
            sent.write(json.dumps(texts) + "\n")
            sent.flush()
            return answer()["seconds"]

        try:
            answer()
            yield read
        finally:
            process.terminate()
