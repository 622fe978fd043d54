"""One sidecar alone, one with Ray Serve, and two with a shared store, in turn.

`python -m benchmarks.outgrow` prints a table and writes it into docs/scaling.md. `--quick` measures
briefly, and only prints.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.cold import shipped_plan
from benchmarks.figures import spread
from benchmarks.searches import MODELS
from benchmarks.serving import serving
from pipelines.plan import Plan
from sidecar.bench.machine import describe_machine
from sidecar.bench.measuring import WARM_WINDOWS, StandInProcess, stand_in
from sidecar.bench.stand_in import INDEX, SearchLoad
from tests.sidecar.ray.ray_service import running_ray
from tests.valkey_server import running_valkey

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
_BEGIN, _END = "<!-- outgrow: begin -->", "<!-- outgrow: end -->"

_CLIENTS: Final = 4
_WINDOW: Final = 25
_DEADLINE_MS: Final = 1000
_FAR: Final = {
    "kind": "bi-encoder",
    "source": "minilm",
    "backend": "remote",
    "api": "openai-embeddings",
}
_RAY: Final = (1, 2)


@dataclass(slots=True)
class System:
    """One way to serve: its sidecars, each with a stand-in of its own that searches through it."""

    name: str
    sidecars: list[tuple[StandInProcess, str]]
    next_window: int = WARM_WINDOWS
    figures: dict[str, list[Figures]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """One round of one kind of search. `scored`: share of the hits in the windows."""

    per_second: float
    p50: float
    p95: float
    scored: float
    statuses: Mapping[str, int]


def read_figures(results: Sequence[Mapping[str, Any]]) -> Figures:
    """The figures of what several clients' processes did at the same time."""
    times = sorted(ms for result in results for ms in result["ms"])
    statuses: dict[str, int] = {}
    for result in results:
        for status, count in result["statuses"].items():
            statuses[status] = statuses.get(status, 0) + count
    return Figures(
        sum(len(result["ms"]) / result["seconds"] for result in results),
        times[(len(times) - 1) // 2],
        times[-(-len(times) * 95 // 100) - 1],
        sum(result["scored"] for result in results) / (len(times) * _WINDOW),
        statuses,
    )


async def search(system: System, **load: Any) -> Figures:
    """Let all of its clients search, half of them through each of two sidecars."""
    clients = _CLIENTS // len(system.sidecars)
    results = await asyncio.gather(
        *(
            beside.search(url, SearchLoad(clients=clients, **{**load, "first": first}))
            for (beside, url), first in zip(
                system.sidecars, _firsts(system, load.get("first", 0)), strict=True
            )
        )
    )
    return read_figures(results)


def _firsts(system: System, first: int) -> list[int]:
    # Cold windows differ between sidecars: what one reads, the other has not read.
    apart = 0 if first == 0 else 10_000
    return [first + apart * number for number in range(len(system.sidecars))]


async def measure_round(system: System, seconds: float) -> None:
    """Cold searches, each for a window that nobody has read; then warm ones."""
    cold = await search(system, first=system.next_window, seconds=seconds)
    system.next_window += sum(cold.statuses.values())
    for window in range(WARM_WINDOWS):
        for beside, url in system.sidecars:
            known = SearchLoad(first=window, windows=1, most=2, plan="patient")
            await beside.search(url, known)
    warm = await search(system, first=0, windows=WARM_WINDOWS, seconds=seconds)
    for kind, figures in (("cold", cold), ("warm", warm)):
        system.figures.setdefault(kind, []).append(figures)


async def start(stack: AsyncExitStack, folder: Path) -> list[System]:
    """Start everything; what waits for its turn does nothing."""
    values = shipped_plan(rescore_window=_WINDOW, deadline_ms=_DEADLINE_MS, student="off")
    plans = {"fused": values, "patient": {**values, "deadline_ms": 60_000}}
    main = {"window_cache_s": 0, "window_order_s": 0}

    async def sidecar(
        name: str, model: Mapping[str, Any], **more: Any
    ) -> tuple[StandInProcess, str]:
        beside = await stack.enter_async_context(stand_in(Plan.model_validate(values)))
        one = stack.enter_context(
            serving(
                *(folder / name, beside.url, {"minilm": model}, plans, {INDEX: "fused"}),
                **{**main, **more},
            )
        )
        return beside, one.url

    local = MODELS["minilm"]
    systems = [System("1 sidecar", [await sidecar("local", local)])]
    for replicas in _RAY:
        (folder / f"ray-{replicas}").mkdir()
        service = stack.enter_context(
            running_ray(folder / f"ray-{replicas}", {"models": {"minilm": local}}, replicas)
        )
        one = await sidecar(f"far-{replicas}", {**_FAR, "url": service.url})
        noun = "replica" if replicas == 1 else "replicas"
        systems.append(System(f"1 sidecar + Ray Serve, {replicas} {noun}", [one]))
    server = stack.enter_context(running_valkey(folder))
    store = {"passage_store": {"url": server.url}}
    both = [await sidecar(f"stored-{number}", local, **store) for number in (1, 2)]
    systems.append(System("2 sidecars + Redis store", both))
    return systems


def write_table(systems: Sequence[System], rounds: int, seconds: float) -> str:
    """Markdown: a line for each system and kind of search, medians of the rounds and ranges."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    when, machine = time.strftime("%d %B %Y", time.gmtime()), describe_machine()
    head = "| | searches | searches/s | of 1 sidecar | p50, ms | p95, ms | share scored |"
    lines = [
        f"{when}, {machine['processor']} with {machine['cores']} cores; load averages at the end,"
        f" of this benchmark too: {load}. {rounds} rounds of {seconds:g} s for each line, in turn;"
        f" {_CLIENTS} clients, each with one search at a time.",
        "",
        head,
        "|---|---|" + " ---: |" * 5,
    ]
    for kind in ("cold", "warm"):
        base = systems[0].figures[kind]
        for system in systems:
            own = system.figures[kind]
            times = [one.per_second / of.per_second for one, of in zip(own, base, strict=True)]
            cells = (
                spread([one.per_second for one in own]),
                spread(times, "x", 2),
                spread([one.p50 for one in own], digits=0),
                spread([one.p95 for one in own], digits=0),
                spread([one.scored * 100 for one in own], " %", 0),
            )
            lines.append(f"| {system.name} | {kind} | " + " | ".join(map(str, cells)) + " |")
    statuses: dict[str, int] = {}
    for system in systems:
        for figures in system.figures.values():
            for one in figures:
                for status, count in one.statuses.items():
                    statuses[status] = statuses.get(status, 0) + count
    told = ", ".join(f"{count:,} {status}" for status, count in sorted(statuses.items()))
    return "\n".join([*lines, "", f"All searches were answered: {told}."])


def put_into_page(table: str) -> None:
    """Replace what stands between the two marks of the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


async def measure(rounds: int, seconds: float) -> str:
    """The table."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        systems = await start(stack, folder)
        for round_ in range(rounds):
            for system in systems:
                print(f"round {round_ + 1} of {rounds}: {system.name}", file=sys.stderr, flush=True)
                await measure_round(system, seconds)
        return write_table(systems, rounds, seconds)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outgrow", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure briefly, and only print")
    quick = parser.parse_args().quick
    table = asyncio.run(measure(1, 2.0) if quick else measure(3, 6.0))
    print(table)
    if not quick:
        put_into_page(table)


if __name__ == "__main__":
    _main()
