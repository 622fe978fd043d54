"""(d) Mixed load: how long relayed requests wait alone, beside rescorings, and beside bulk too."""

from __future__ import annotations

import random
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.cluster import INDEX, Client, bulk_body, search_body
from benchmarks.figures import Bar, Table, spread
from benchmarks.texts import query_texts
from sidecar.demo.collection import SAMPLE, read_collection

_PAUSE = 0.005
_SECONDS = 3.0
_BULK_DOCUMENTS = 50


@dataclass(slots=True)
class Phase:
    """The measurements of all rounds of one kind: medians in ms, and amount of work per second."""

    relayed: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)
    searches: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Beside:
    tables: tuple[Table, ...]
    bars: tuple[Bar, ...]


def measure_beside(upstream: str, proxy: str, rounds: int, step: Callable[[str], None]) -> Beside:
    """Ask for one document, relayed and direct in turn, while the sidecar is idle or busy."""
    words = sorted({word for text in query_texts() for word in re.findall(r"[a-z]{6,}", text)})
    draw = random.Random(7)  # noqa: S311 - it draws query texts

    def search(client: Client, _: int) -> int:
        text = " ".join(draw.sample(words, 4))
        client.ask("POST", f"/{INDEX}/_search", search_body(text))
        return 1

    def write(client: Client, number: int) -> int:
        body = bulk_body("rescore-benchmark-written", number * _BULK_DOCUMENTS, _BULK_DOCUMENTS)
        client.ask("POST", "/_bulk", body)
        return _BULK_DOCUMENTS

    kinds = {"alone": (), "beside searches": (search,), "beside searches and bulk": (search, write)}
    phases = {kind: Phase() for kind in kinds}
    relayed, direct = Client(proxy), Client(upstream)
    for round_ in range(rounds):
        for kind, works in kinds.items():
            step(f"relayed requests {kind}, round {round_ + 1} of {rounds}")
            phase = phases[kind]
            with working(proxy, works) as done:
                times = _ask_in_turn(relayed, direct)
            phase.relayed.append(statistics.median(times[0]))
            phase.direct.append(statistics.median(times[1]))
            if search in works:
                phase.searches.append(done[0] / _SECONDS)
            if write in works:
                phase.written.append(done[1] / _SECONDS)
    return Beside((_table(phases),), (_bar(phases),))


@contextmanager
def working(proxy: str, works: tuple[Callable[[Client, int], int], ...]) -> Iterator[list[int]]:
    """Run these in threads, again and again, until the end. Yields how often each has run."""
    stop = threading.Event()
    done = [0] * len(works)

    def repeat(place: int) -> None:
        client = Client(proxy)
        number = 0
        while not stop.is_set():
            done[place] += works[place](client, number)
            number += 1

    threads = [threading.Thread(target=repeat, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask_in_turn(relayed: Client, direct: Client) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    path = f"/{INDEX}/_doc/{read_collection(SAMPLE).documents[0].id}"
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        for client, values in zip((relayed, direct), times, strict=True):
            values.append(client.ask("GET", path)[0])
            time.sleep(_PAUSE)
    return times


def _table(phases: dict[str, Phase]) -> Table:
    rows = []
    for kind, phase in phases.items():
        added = [one - other for one, other in zip(phase.relayed, phase.direct, strict=True)]
        rows.append(
            (
                kind,
                spread(phase.relayed, digits=2),
                spread(phase.direct, digits=2),
                spread(added, digits=2),
                spread(phase.searches) if phase.searches else "",
                spread(phase.written, digits=0) if phase.written else "",
            )
        )
    return Table(
        "Mixed load: a document fetched by id, p50 in ms",
        ("", "relayed", "direct", "added", "searches a second", "documents written a second"),
        tuple(rows),
        "The searches come without pause and have passages that are not stored, so the model works"
        " all the time; bulk requests carry 50 documents. direct: the same request past the"
        " sidecar, at the same time: what shares the machine slows it too.",
    )


def _bar(phases: dict[str, Phase]) -> Bar:
    pairs = zip(phases["beside searches"].relayed, phases["alone"].relayed, strict=True)
    ratio = spread((beside / alone for beside, alone in pairs), "x", 2)
    return Bar("p50 of pass-through while a rescoring runs, against idle", ratio, "most", 1.1, 1.05)
