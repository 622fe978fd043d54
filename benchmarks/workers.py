"""(k) Several workers: searches and relayed requests a second, and memory, by their number."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.cold import shipped_plan
from benchmarks.figures import Bar, Part, Spread, Table, spread
from benchmarks.searches import MODELS
from benchmarks.serving import Serving, serving
from pipelines.plan import Plan
from sidecar.bench.measuring import WARM_WINDOWS, StandInProcess, stand_in
from sidecar.bench.stand_in import INDEX, SearchLoad

_NUMBERS: Final = (1, 2, 3, 4)
_CLIENTS: Final = 8
_LIMIT = (
    "One worker uses most of two cores already: its model reads the query text in a thread beside"
    " the event loop, and the clients need the rest. What more workers gain on more cores was not"
    " measured."
)
_HOW = (
    "`sidecar serve` with `workers: N` and the shipped `fused.yaml`, all passages known, without a"
    " cache of windows. A second process on the same machine plays OpenSearch and"
    f" {_CLIENTS} clients. It needs a core of its own for that, so on few cores it limits these"
    " figures, the relayed ones first. *relayed*: the same searches without a route. Memory is the"
    " proportional set size of all processes (shared pages count once). *CPU* is the processor time"
    " of all processes of the sidecar for one search, so the clients do not limit it."
)


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Rounds over the numbers of workers, in turn."""
    rounds, seconds = (1, 2.0) if quick else (3, 8.0)
    measured: dict[int, list[_Figures]] = {number: [] for number in _NUMBERS}
    for round_ in range(rounds):
        for number in _NUMBERS:
            step(f"round {round_ + 1} of {rounds}, {number} workers")
            with tempfile.TemporaryDirectory() as folder:
                measured[number].append(asyncio.run(_measure(Path(folder), number, seconds)))
    searches = {n: [one.searches for one in measured[n]] for n in _NUMBERS}
    relayed = {n: [one.relayed for one in measured[n]] for n in _NUMBERS}
    memory = {n: [one.memory for one in measured[n]] for n in _NUMBERS}
    rows = tuple(
        (
            str(number),
            spread(searches[number], "", 0),
            _times(searches, number),
            spread((one.search_cpu for one in measured[number]), " ms", 1),
            spread(relayed[number], "", 0),
            _times(relayed, number),
            spread((one.relayed_cpu for one in measured[number]), " ms", 2),
            spread(memory[number], " MB", 0),
        )
        for number in _NUMBERS
    )
    added = [most - one for most, one in zip(memory[4], memory[1], strict=True)]
    further = spread((mb / 3 for mb in added), " MB", 0)
    return Part(
        "workers",
        "Several workers",
        _HOW,
        (
            Table(
                "By the number of workers",
                (
                    "workers",
                    *("searches/s", "of one", "CPU a search"),
                    *("relayed/s", "of one", "CPU a request"),
                    "memory",
                ),
                rows,
            ),
        ),
        (
            Bar(
                "searches a second of 2 workers against 1",
                _times(searches, 2),
                "least",
                1.7,
                1.9,
                _LIMIT,
            ),
            Bar("memory for each further worker", further, "most", 120, 80),
        ),
    )


def _times(rates: dict[int, list[float]], number: int) -> Spread:
    return spread((many / one for many, one in zip(rates[number], rates[1], strict=True)), "x")


class _Figures(NamedTuple):
    """Rates are a second, CPU in ms, memory in MB."""

    searches: float
    search_cpu: float
    relayed: float
    relayed_cpu: float
    memory: float


async def _measure(folder: Path, number: int, seconds: float) -> _Figures:
    values = shipped_plan(document={"title": "title", "body": "text"})
    patient = {**values, "deadline_ms": 60_000}
    models = {"minilm": MODELS["minilm"]}
    plans = {"fused": values, "patient": patient}
    # With the passages in files, what one worker has read the others know too.
    main = {"window_cache_s": 0, "workers": number, "passage_store": {"folder": "vectors"}}
    async with stand_in(Plan.model_validate(values)) as beside:
        with serving(folder / "a", beside.url, models, plans, {INDEX: "fused"}, **main) as one:
            for window in range(WARM_WINDOWS):
                await beside.search(
                    one.url, SearchLoad(first=window, windows=1, most=4 * number, plan="patient")
                )
            load = SearchLoad(windows=WARM_WINDOWS, seconds=seconds, clients=_CLIENTS)
            await beside.search(one.url, load)  # each worker meets each window
            searches = await _run(beside, one, load)
            memory = _memory_mb(one.pid)
        with serving(folder / "b", beside.url, models, plans, {"another": "fused"}, **main) as one:
            relayed = await _run(beside, one, load)
    return _Figures(*searches, *relayed, memory)


async def _run(beside: StandInProcess, one: Serving, load: SearchLoad) -> tuple[float, float]:
    """Searches a second, and ms of processor time for each."""
    before = _cpu_ms(one.pid)
    result = await beside.search(one.url, load)
    count = len(result["ms"])
    return count / result["seconds"], (_cpu_ms(one.pid) - before) / count


def _cpu_ms(pid: int) -> float:
    """Processor time of a process and all below it that live."""
    # Source: proc_pid_stat(5). After the name come the state and further fields; the user's and
    # the system's time are the 14th and the 15th of all.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")
    return own + sum(map(_cpu_ms, _children(pid)))


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def _memory_mb(pid: int) -> float:
    """Of a process and all below it, in MB of 10^6 bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    own = next(int(line.split()[1]) * 1.024e-3 for line in lines if line.startswith("Pss:"))
    return own + sum(map(_memory_mb, _children(pid)))
