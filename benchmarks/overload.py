"""(j) The deadline under load: searches that come four times as fast as they can be served."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.cold import shipped_plan
from benchmarks.figures import Bar, Part, Table, spread
from benchmarks.searches import MODELS
from benchmarks.serving import serving
from pipelines.plan import Plan
from sidecar.bench.measuring import WARM_WINDOWS, stand_in
from sidecar.bench.stand_in import INDEX, SearchLoad

_TIMES: Final = 4
_CLIENTS: Final = 2
_MARGIN_MS: Final = 10
_LIMIT = (
    "The event loop never stood still for as long (see the longest stall), so this is waiting:"
    " for a processor, since the clients, the stand-in and the sidecar have the same cores, and"
    " behind the other searches that are ready at the same time."
)
_HOW = (
    "`sidecar serve` with `config/plans/fused.yaml` as it is shipped, without a cache of windows."
    " A second process on the same machine plays OpenSearch, whose hits are ready, and the"
    f" applications. First, {_CLIENTS} clients search as fast as they are answered: this rate is"
    f" what the machine carries. Then searches come at {_TIMES} times that rate, at even times,"
    " however many wait. cold: each search has hits that were never read. warm: all passages are"
    " known. Times are from outside, less the median of the same searches without the sidecar."
)


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Both kinds of searches, each with a sidecar of its own."""
    rows = []
    bars: tuple[Bar, ...] = ()
    deadline = int(shipped_plan()["deadline_ms"])
    for kind in ("cold", "warm"):
        step(kind)
        with tempfile.TemporaryDirectory() as folder:
            row, p99 = asyncio.run(_measure(Path(folder) / "one", kind, 3 if quick else 12))
        rows.append(row)
        bars += (
            Bar(
                f"deadline kept: added p99 of {kind} searches at {_TIMES}x the load the machine"
                " carries",
                spread([p99], " ms", 0),
                "most",
                deadline + _MARGIN_MS,
                deadline,
                _LIMIT,
            ),
        )
    return Part(
        "overload",
        "The deadline under load",
        _HOW,
        (
            Table(
                f"At {_TIMES} times the rate that the machine carries; ms added",
                (
                    *("", "carried, a second", "sent, a second", "p50", "p95", "p99"),
                    *("hits scored", "longest stall"),
                ),
                tuple(rows),
            ),
        ),
        bars,
    )


async def _measure(folder: Path, kind: str, seconds: float) -> tuple[tuple[str, ...], float]:
    """The row of the table, and the 99th percentile."""
    values = shipped_plan(document={"title": "title", "body": "text"})
    patient = {**values, "deadline_ms": 60_000}
    plan = Plan.model_validate(values)
    models = {"minilm": MODELS["minilm"]}
    async with stand_in(plan) as beside:
        plans = {"fused": values, "patient": patient}
        with serving(folder, beside.url, models, plans, {INDEX: "fused"}, window_cache_s=0) as one:
            windows = WARM_WINDOWS if kind == "warm" else None
            for window in range(WARM_WINDOWS if kind == "warm" else 0):
                await beside.search(
                    one.url, SearchLoad(first=window, windows=1, most=1, plan="patient")
                )
            alone = await beside.search(
                one.url, SearchLoad(windows=WARM_WINDOWS, most=40, directly=True)
            )
            carried = await beside.search(
                one.url,
                SearchLoad(
                    first=WARM_WINDOWS if windows is None else 0,
                    windows=windows,
                    seconds=seconds,
                    clients=_CLIENTS,
                ),
            )
            rate = len(carried["ms"]) / carried["seconds"]
            first = WARM_WINDOWS + len(carried["ms"])
            flood = await beside.search(
                one.url,
                SearchLoad(
                    first=first if windows is None else 0,
                    windows=windows,
                    seconds=seconds,
                    most=round(_TIMES * rate * seconds),
                    rate=_TIMES * rate,
                ),
            )
            stall = one.longest_stall()
    base = statistics.median(alone["direct_ms"])
    added = sorted(ms - base for ms in flood["ms"])
    p50, p95, p99 = (added[min(len(added) - 1, len(added) * p // 100)] for p in (50, 95, 99))
    share = flood["scored"] / (len(added) * plan.rescore_window)
    sent = len(added) / flood["seconds"]
    times = (f"{value:.0f}" for value in (p50, p95, p99))
    return (kind, f"{rate:.0f}", f"{sent:.0f}", *times, f"{share:.0%}", stall), p99
