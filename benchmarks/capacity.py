"""What an installation needs: `python -m benchmarks.capacity`.

It computes with the figures of docs/benchmarks.md and measures nothing. docs/scaling.md has its
table and the assumptions.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.models.passage_store import DIGEST_BYTES, bytes_of_passages

# Measured with redis-server 7.0 and 20,000 vectors of 384 numbers: 598 bytes each, 407 of them the
# value, 28 the key.
_SERVER_BYTES = 191
_VALUE_FRAME = 15
_BUSY = 0.7
"""Share of a core that is used at the planned load; the rest is for peaks."""

_DAY_S = 86_400
_SIZES = (10**5, 10**6, 10**7, 10**8, 10**9)
_PROCESSES = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one run of the benchmarks."""

    passages_per_core_s: float
    """Passages that one core reads in a second."""

    warm_search_ms: float
    """Processor time of a warm search with 100 hits and up to 3 passages of each, one process."""

    processes: Sequence[tuple[int, float, float]] = ()
    """Number of processes, ms of processor time of a warm search, and searches a second."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of an installation."""

    passages: int
    dimensions: int = 384
    searches_s: float = 100.0
    window: int = 100
    passages_of_a_hit: int = 3
    cold_share: float = 0.01
    """Share of a search's passages that no sidecar has read."""

    changed_a_day: float = 0.01
    """Share of all passages that are new or changed each day."""


@dataclass(frozen=True, slots=True)
class Need:
    """What it needs. Bytes are for one copy of all vectors."""

    search_cores: int
    reading_cores: int
    """For cold passages of searches and for changed passages."""

    first_reading_core_days: float
    memory_gb: float
    disk_gb: float
    server_gb: float
    server_mb_s: float
    """Traffic of the shared store if no vector is in a sidecar's memory."""


def read_measured(path: Path) -> Measured:
    """The figures in `benchmarks/results.json`."""
    parts = json.loads(path.read_text())
    model = _row(parts["models"]["part"], "Bi-encoder", "sidecar, openvino (prepared)")
    cores = int(parts["models"]["machine"]["cores"])
    rows = [_row(parts["workers"]["part"], "By the number", str(n)) for n in _PROCESSES]
    processes = [
        (number, row["CPU a search"], row["searches/s"])
        for number, row in zip(_PROCESSES, rows, strict=True)
    ]
    return Measured(75 / (model["25 x 3, ms"] / 1000) / cores, processes[0][1], processes)


def _row(part: Mapping[str, Any], title: str, name: str) -> dict[str, float]:
    [table] = [table for table in part["tables"] if table["title"].startswith(title)]
    [row] = [row for row in table["rows"] if row[0] == name]
    cells = zip(table["head"][1:], row[1:], strict=True)
    return {head: cell["median"] for head, cell in cells if isinstance(cell, dict)}


def find_need(load: Load, measured: Measured) -> Need:
    """Each line of the model, as docs/scaling.md says it."""
    asked = load.searches_s * load.window * load.passages_of_a_hit
    scale = load.window * load.passages_of_a_hit / 300
    read = asked * load.cold_share + load.passages * load.changed_a_day / _DAY_S
    value = load.dimensions + _VALUE_FRAME
    return Need(
        math.ceil(load.searches_s * measured.warm_search_ms * scale / 1000 / _BUSY),
        math.ceil(read / measured.passages_per_core_s / _BUSY),
        load.passages / measured.passages_per_core_s / _DAY_S,
        bytes_of_passages(load.passages, load.dimensions) / 1e9,
        load.passages * (load.dimensions + 4 + DIGEST_BYTES) / 1e9,
        load.passages * (value + _SERVER_BYTES + 8) / 1e9,
        asked * (value + 28) / 1e6,
    )


def write_table(measured: Measured, base: Load) -> str:
    """A Markdown table, one line for each number of passages."""
    head = (
        "| passages | cores for searches | cores for reading | first reading, core days "
        "| memory, GB | disk, GB | server, GB |"
    )
    lines = [head, "| ---: " * 7 + "|"]
    for passages in (base.passages,) if base.passages else _SIZES:
        load = Load(passages, base.dimensions, base.searches_s, cold_share=base.cold_share)
        need = find_need(load, measured)
        lines.append(
            f"| {passages:,} | {need.search_cores} | {need.reading_cores} "
            f"| {need.first_reading_core_days:,.2f} | {need.memory_gb:,.2f} | {need.disk_gb:,.2f} "
            f"| {need.server_gb:,.2f} |"
        )
    return "\n".join(lines)


def write_check(measured: Measured) -> str:
    """A Markdown table: what the model says of several processes, and what was measured.

    The first line has the figure that the model begins with.
    """
    lines = [
        "| processes | ms of processor time a search: model | measured | measured / model "
        "| searches a second |",
        "| ---: " * 5 + "|",
    ]
    lines += [
        f"| {number} | {measured.warm_search_ms:.1f} | {search:.1f} "
        f"| {search / measured.warm_search_ms:.2f} | {rate:.0f} |"
        for number, search, rate in measured.processes
    ]
    return "\n".join(lines)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=0, help="default: a table of sizes")
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--searches", type=float, default=100.0, help="a second")
    parser.add_argument("--cold-share", type=float, default=0.01)
    given = parser.parse_args()
    load = Load(given.passages, given.dimensions, given.searches, cold_share=given.cold_share)
    measured = read_measured(Path(__file__).parent / "results.json")
    print(f"one core reads {measured.passages_per_core_s:.0f} passages a second;", end=" ")
    print(f"a warm search takes {measured.warm_search_ms:.1f} ms of a core")
    print(write_table(measured, load))
    print(write_check(measured))


if __name__ == "__main__":
    _main()
