"""Ten thousand searches that nobody asked before, over an index that nobody warmed.

    python benchmarks/long_tail.py                          # a quarter of an hour
    python benchmarks/long_tail.py --documents 5000 --searches 500

Starts a real OpenSearch (Java and Maven, as the tests do) and `sidecar serve` with the shipped plan
and deadline. Clients search without a pause; the store fills, and a student learns. Afterwards some
of the searches are asked again with everything read, to see how many of those first ten hits the
earlier answers had. It writes docs/long-tail.md.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.cluster import INDEX, VERSION, Client, loaded_cluster, search_body
from benchmarks.cold import read_share, shipped_plan
from benchmarks.document import write_table
from benchmarks.searches import MODELS
from benchmarks.serving import Serving, serving
from sidecar.bench.machine import describe_machine
from sidecar.demo.collection import SAMPLE, read_collection

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "long-tail.md"
_CLIENTS: Final = 4
_WORDS: Final = 8
_PARTS: Final = 10
_ASKED_AGAIN: Final = 8  # of each part
_SEED: Final = 7
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_HEAD: Final = (
    *("searches", "hits scored", "by the student", "p50, ms", "p95, ms"),
    *("ten best of all read", "OpenSearch's own"),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One search: shares of its hits, milliseconds that the sidecar added, the first ten ids."""

    text: str
    scored: float
    student: float
    ms: float
    ids: tuple[str, ...]


def query_texts(count: int) -> list[str]:
    """Different runs of eight words from the sample's sentences, in random order."""
    found: dict[str, None] = {}
    for document in read_collection(SAMPLE).documents:
        for sentence in _SENTENCE_END.split(document.text):
            words = sentence.split()
            for start in (0, _WORDS):
                if len(run := words[start : start + _WORDS]) == _WORDS:
                    found[" ".join(run)] = None
    texts = list(found)
    random.Random(_SEED).shuffle(texts)  # noqa: S311 - an order, no secret
    if len(texts) < count:
        raise SystemExit(f"the sample has {len(texts):,} query texts; ask for fewer searches")
    return texts[:count]


def search_all(
    served: Serving, texts: Sequence[str], show: Callable[[int], object]
) -> list[Answered]:
    """Every text once, by several clients at the same time; in the order of asking."""
    clients = [Client(served.url) for _ in range(_CLIENTS)]

    def search(number: int) -> Answered:
        text, client = texts[number], free.pop()
        try:
            _, said, answer = client.ask("POST", f"/{INDEX}/_search", search_body(text))
        finally:
            free.append(client)
        if number % 100 == 0:
            show(number)
        scored, student = read_share(said, "scored"), read_share(said, "student")
        ms = float(said.partition("ms=")[2].partition(";")[0] or 0)
        return Answered(text, scored, student, ms, read_ids(answer))

    free = list(clients)
    with ThreadPoolExecutor(_CLIENTS) as threads:
        return list(threads.map(search, range(len(texts))))


def read_ids(answer: bytes) -> tuple[str, ...]:
    """The ids of an answer's hits."""
    return tuple(hit["_id"] for hit in json.loads(answer)["hits"]["hits"])


def write_rows(
    url: str, served: Serving, answered: Sequence[Answered], show: Callable[[int], object]
) -> Iterator[tuple[str, ...]]:
    """A row for each part of the searches. Some searches of each part are asked again."""
    direct, proxied = Client(url), Client(served.url)
    each = -(-len(answered) // _PARTS)
    for start in range(0, len(answered), each):
        part = answered[start : start + each]
        kept, own = [], []
        for one in part[:: max(1, len(part) // _ASKED_AGAIN)][:_ASKED_AGAIN]:
            body = search_body(one.text)
            best = set(read_ids(proxied.ask("POST", f"/{INDEX}/_search", body, "patient")[2]))
            if not best:
                continue
            kept.append(len(best & set(one.ids)) / len(best))
            plain = read_ids(direct.ask("POST", f"/{INDEX}/_search", body)[2])
            own.append(len(best & set(plain)) / len(best))
        show(start)
        times = sorted(one.ms for one in part)
        yield (
            f"{start + 1:,} to {start + len(part):,}",
            f"{statistics.fmean(one.scored for one in part):.0%}",
            f"{statistics.fmean(one.student for one in part):.0%}",
            f"{statistics.median(times):.0f}",
            f"{times[len(times) * 95 // 100]:.0f}",
            f"{statistics.fmean(kept):.0%}" if kept else "none",
            f"{statistics.fmean(own):.0%}" if own else "none",
        )


def write_page(
    documents: int, answered: int, seconds: float, rows: Sequence[Sequence[str]], stall: str
) -> str:
    """The page docs/long-tail.md."""
    machine = describe_machine()
    return "\n".join(
        [
            "# The long tail",
            "",
            "Written by `python benchmarks/long_tail.py`; do not edit by hand.",
            "",
            f"OpenSearch {VERSION} with {documents:,} documents that nobody warmed; `sidecar serve`"
            " with `config/plans/fused.yaml` as it is shipped, its deadline of 200 ms included;"
            f" {_CLIENTS} clients on the same machine ({machine['processor']},"
            f" {machine['cores']} cores), who search without a pause. Each of"
            f" {answered:,} query texts is asked once: {_WORDS} words of a sentence of the sample."
            f" It took {seconds / 60:.0f} minutes."
            " Documents after the sample's thousand are mixtures of its sentences, so each sentence"
            " stands in many of them, and many hits of a search are nearly equal.",
            "",
            "*hits scored*: by the model, of a window of 100. *by the student*: the others that"
            " have the score which a student of the model expects. *ms*: what the sidecar added."
            f" *ten best of all read*: {_ASKED_AGAIN} searches of each row were asked again at the"
            " end, with time to read everything; of the ten first hits then, the share that the"
            " earlier answer had among its ten. *OpenSearch's own*: the same for its own order.",
            "",
            *write_table(_HEAD, rows),
            "",
            f"Longest stall of the event loop: {stall}.",
            "",
        ]
    )


def main() -> None:
    """Measure, and write the page unless the numbers were changed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=10_000)
    given = parser.parse_args()

    def show(what: str) -> Callable[[int], object]:
        return lambda number: print(f"{what}, search {number:,} of {given.searches:,}", flush=True)

    texts = query_texts(given.searches)
    plans = {"fused": shipped_plan(), "patient": shipped_plan(deadline_ms=60_000)}
    models = {"minilm": MODELS["minilm"]}
    print(f"loading {given.documents:,} documents", flush=True)
    with (
        loaded_cluster(given.documents) as url,
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "one", url, models, plans, {INDEX: "fused"}) as served,
    ):
        started = time.monotonic()
        answered = search_all(served, texts, show("first time"))
        seconds = time.monotonic() - started
        stall = served.longest_stall()
        rows = list(write_rows(url, served, answered, show("asked again")))
    page = write_page(given.documents, len(answered), seconds, rows, stall)
    print(page)
    whole = (given.documents, given.searches)
    if whole == (parser.get_default("documents"), parser.get_default("searches")):
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
