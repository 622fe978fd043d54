"""(e) Growth: wider windows, more passages of a document, and a store of up to a million."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.cluster import INDEX, Client, loaded_cluster, search_body
from benchmarks.figures import Part, Spread, Table, spread
from benchmarks.searches import MODELS, PLAN, Times, p50, pair
from benchmarks.serving import serving
from benchmarks.texts import query_texts, unused_words
from sidecar.bench.measuring import resident_mb
from sidecar.models.passage_store import PassageStore
from tests.nodes.java import NotInstalled

ROOT = Path(__file__).resolve().parents[1]
_WINDOWS = (25, 50, 100, 200)
_PER_DOCUMENT = (1, 3, 10)
_DOCUMENTS = 2000
_STORES = (10_000, 100_000, 1_000_000)
_GATHERED = (75, 300, 2000)
_DIMENSIONS = 384
_BLOCK = 1000
_HOW = (
    "Warm searches as above, with a wider window or more passages of each document (of 20 words, so"
    " that there are enough), and the store of passage vectors by itself: its memory, and the time"
    " to gather the vectors of one search."
)


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Searches over a real OpenSearch, then the store alone."""
    missing, tables = "", []
    try:
        tables += _search_tables(2 if quick else 5, 2 if quick else 6, step)
    except NotInstalled as error:
        missing = f"searches: {error}"
    step("filling stores")
    tables.append(_store_table(_STORES[:2] if quick else _STORES))
    return Part("growth", "Growth", _HOW, tuple(tables), missing=missing)


def _search_tables(rounds: int, queries: int, step: Callable[[str], None]) -> list[Table]:
    plans = {f"window-{window}": {**PLAN, "rescore_window": window} for window in _WINDOWS}
    for count in _PER_DOCUMENT:
        passages = {"words": 20, "per_group": count}
        plans[f"passages-{count}"] = {**PLAN, "rescore_window": 50, "passages": passages}
    found: dict[str, list[Times]] = {name: [] for name in plans}
    models = {"minilm": MODELS["minilm"]}
    step("starting OpenSearch")
    with loaded_cluster(_DOCUMENTS) as url, tempfile.TemporaryDirectory() as folder:
        routes = {INDEX: "window-25"}
        with serving(Path(folder) / "sidecar", url, models, plans, routes) as served:
            direct, proxied = Client(url), Client(served.url)
            words = iter(unused_words())
            for round_ in range(-1, rounds):
                for name in plans:
                    step(f"{name}, round {round_ + 1} of {rounds}")
                    times: Times = {}
                    for text in query_texts()[:queries]:
                        body = search_body(f"{text} {next(words)}")
                        for what, values in pair(direct, proxied, body, name).items():
                            times.setdefault(what, []).extend(values)
                    if round_ >= 0:  # the first search reads everything
                        found[name].append(times)
    head = ("", "through", "added", "inside")

    def row(label: str, name: str) -> tuple[str | Spread, ...]:
        cells = (p50(found[name], what, digits=2) for what in ("through", "added", "inside"))
        return (label, *cells)

    return [
        Table(
            "Window: warm searches, up to 3 passages of 60 words, p50 in ms",
            head,
            tuple(row(f"{window} hits", f"window-{window}") for window in _WINDOWS),
        ),
        Table(
            "Passages of a document: warm searches, 50 hits, passages of 20 words, p50 in ms",
            head,
            tuple(row(f"up to {count}", f"passages-{count}") for count in _PER_DOCUMENT),
        ),
    ]


def _store_table(sizes: tuple[int, ...]) -> Table:
    """Each size in a process of its own, so that its memory is its own."""
    rows: list[tuple[str | Spread, ...]] = []
    for size in sizes:
        done = subprocess.run(  # noqa: S603 - this module
            [sys.executable, "-m", "benchmarks.growing", str(size)],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        answer = json.loads(done.stdout)
        times = (spread(answer["gathered"][str(count)], digits=0) for count in _GATHERED)
        rows.append((f"{size:,}", f"{answer['memory_mb']:.0f}", *times))
    return Table(
        f"Store of passage vectors of {_DIMENSIONS} numbers",
        ("passages", "memory, MB", *(f"gather {count:,}, us" for count in _GATHERED)),
        tuple(rows),
        "Random vectors, gathered in random order; p50 of 200 calls in each of 5 rounds.",
    )


def measure_store(size: int) -> dict[str, object]:
    """Memory of a full store of that many passages, and microseconds to gather some of them."""
    random = np.random.default_rng(7)
    digests = [number.to_bytes(16) for number in range(size)]
    before = resident_mb()
    store = PassageStore(_DIMENSIONS, size * 1024)
    for start in range(0, size, _BLOCK):
        block = digests[start : start + _BLOCK]
        store.put(block, random.standard_normal((len(block), _DIMENSIONS), np.float32))
    memory = resident_mb() - before
    gathered: dict[str, list[float]] = {}
    for count in _GATHERED:
        for _ in range(5):
            times = []
            for _ in range(200):
                wanted = [digests[row] for row in random.integers(0, size, count)]
                started = time.perf_counter()
                found, _vectors = store.get(wanted)
                times.append((time.perf_counter() - started) * 1e6)
                assert found.all()
            gathered.setdefault(str(count), []).append(spread(times).median)
    return {"memory_mb": memory, "gathered": gathered}


if __name__ == "__main__":
    print(json.dumps(measure_store(int(sys.argv[1]))))
