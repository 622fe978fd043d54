"""Measures one plan: loads its models, then searches cold, warm, and several at once.

The sidecar runs in this process, alone, as in `sidecar serve`. A second process on the same
machine plays OpenSearch and the applications (`stand_in.py`).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.plan import Plan
from sidecar.bench.stand_in import Layout, SearchLoad
from sidecar.evaluation.search_body import plain_template
from sidecar.metrics import Metrics

WARM_WINDOWS = 4
"""Windows of hits that warm searches repeat, so that all their passages are known."""

# The maximum number of cold searches; each needs a window of new documents.
_MOST_COLD = 500
# The maximum number of searches to read a window; after them it is measured as it is.
_PATIENT_SEARCHES = 5
_CHUNK_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """Figures of one kind of search. Times are in milliseconds, minus the stand-in's own median."""

    kind: str
    searches: int
    per_second: float
    p50: float
    p95: float
    p99: float
    scored: float
    """Share of the windows' hits that a model scored."""

    statuses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """How fast a model reads the texts of searches: passages, or pairs with the query text."""

    name: str
    kind: str
    texts: int
    per_second: float


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """Figures of one plan on this machine; memory of the whole process, in MB."""

    plan: str
    window: int
    per_group: int
    deadline_ms: int
    searches: tuple[SearchFigures, ...]
    models: tuple[ModelSpeed, ...]
    stand_in_ms: float
    memory_at_start: float
    memory_at_end: float
    stored: int


class StandInFailed(Exception):
    """The second process ended early; its error is on stderr."""


class StandInProcess:
    """The process that plays OpenSearch and the applications."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    async def search(self, proxy: str, searches: SearchLoad) -> dict[str, Any]:
        """Let it search through the proxy; returns the answer of `StandIn.run`."""
        return await _exchange(self._process, {"proxy": proxy, **asdict(searches)})


@asynccontextmanager
async def stand_in(plan: Plan) -> AsyncIterator[StandInProcess]:
    """Start a stand-in for a plan's searches. Raises StandInFailed."""
    layout = Layout(
        window=plan.rescore_window,
        title=tuple(field.field for field in plan.document.title),
        body=tuple(field.field for field in plan.document.body),
        template=plain_template(plan),
        query_in_header=plan.query_path != "auto",
    )
    # -P: do not import modules from the user's current folder.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "sidecar.bench.stand_in"),
        stdin=PIPE,
        stdout=PIPE,
        limit=_CHUNK_BYTES,
        # Ctrl-C goes to the whole process group; this process ends when its input closes.
        start_new_session=True,
    )
    try:
        ready = await _exchange(process, asdict(layout))
        yield StandInProcess(process, ready["url"])
    finally:
        if process.stdin:
            process.stdin.close()
        await process.wait()


async def _exchange(process: Process, order: Mapping[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
    except ConnectionError:
        line = b""
    if not line:
        raise StandInFailed("the process that plays OpenSearch ended early; its error is above")
    answer: dict[str, Any] = json.loads(line)
    return answer


async def measure_plan(
    name: str,
    plan: Plan,
    beside: StandInProcess,
    proxy: str,
    patient: str,
    metrics: Metrics,
    kinds: Mapping[str, str],
    *,
    seconds: float,
    clients: int,
    on_step: Callable[[], object],
) -> PlanFigures:
    """Search with one plan through the sidecar at `proxy`, which has just been started.

    `patient`: name of the same plan with a long deadline. `kinds`: the kind of each model. Every
    measurement takes about `seconds`; `on_step` is called after each of the `steps()`.
    """
    memory_at_start = resident_mb()
    for window in range(WARM_WINDOWS):
        await _read_all(beside, proxy, window, patient)
        on_step()
    one = SearchLoad(windows=WARM_WINDOWS, seconds=seconds, directly=True)
    warm = await beside.search(proxy, one)
    on_step()
    together = await beside.search(
        proxy, SearchLoad(windows=WARM_WINDOWS, seconds=seconds, clients=clients)
    )
    on_step()
    # Last, because the models go on reading what these searches did not reach.
    cold = await beside.search(
        proxy, SearchLoad(first=WARM_WINDOWS, seconds=seconds, most=_MOST_COLD, directly=True)
    )
    on_step()
    stand_in_ms = statistics.median([*cold["direct_ms"], *warm["direct_ms"]])
    speeds = [_model_speed(metrics, model, kind) for model, kind in kinds.items()]
    return PlanFigures(
        plan=name,
        window=plan.rescore_window,
        per_group=plan.passages.per_group,
        deadline_ms=plan.deadline_ms,
        searches=tuple(
            _summarise(kind, answer, plan.rescore_window, stand_in_ms, count)
            for kind, answer, count in (
                ("cold, 1 at a time", cold, 1),
                ("warm, 1 at a time", warm, 1),
                (f"warm, {clients} at once", together, clients),
            )
        ),
        models=tuple(speeds),
        stand_in_ms=stand_in_ms,
        memory_at_start=memory_at_start,
        memory_at_end=resident_mb(),
        stored=sum(int(_sample(metrics, "rescore_passages_stored", model)) for model in kinds),
    )


async def _read_all(beside: StandInProcess, proxy: str, window: int, patient: str) -> None:
    """Search until every passage that searches of the window need has been read."""
    for _ in range(_PATIENT_SEARCHES):
        order = SearchLoad(first=window, windows=1, most=1, plan=patient)
        if "applied" in (await beside.search(proxy, order))["statuses"]:
            return


def steps() -> int:
    """How often `measure_plan` calls `on_step`."""
    return 3 + WARM_WINDOWS


def resident_mb() -> float:
    """Memory that this process uses, in MB; 0 if the system does not report it."""
    try:
        with Path("/proc/self/status").open(encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1.024e-3 for line in lines if "VmRSS" in line)
    except (OSError, StopIteration):
        return 0.0


def _summarise(
    kind: str, answer: Mapping[str, Any], window: int, stand_in_ms: float, clients: int
) -> SearchFigures:
    times = [max(0.0, ms - stand_in_ms) for ms in answer["ms"]]
    # Each percentile is the time of a real search, not a value between two.
    p50, p95, p99 = np.percentile(times, (50, 95, 99), method="inverted_cdf").tolist()
    # With one client, direct searches in between take a part of the elapsed time.
    passed = answer["seconds"] if clients > 1 else sum(answer["ms"]) / 1000
    return SearchFigures(
        kind=kind,
        searches=len(times),
        per_second=len(times) / passed,
        p50=p50,
        p95=p95,
        p99=p99,
        scored=answer["scored"] / (len(times) * window),
        statuses=answer["statuses"],
    )


def _model_speed(metrics: Metrics, model: str, kind: str) -> ModelSpeed:
    texts = _sample(metrics, "rescore_model_texts_total", model)
    seconds = _sample(metrics, "rescore_model_seconds_sum", model)
    return ModelSpeed(model, kind, int(texts), texts / seconds if seconds else 0.0)


def _sample(metrics: Metrics, name: str, model: str) -> float:
    return metrics.registry.get_sample_value(name, {"model": model}) or 0.0
