"""Measures one plan: its models loaded anew, then searches cold, warm, and several at once.

The sidecar runs in this process, as `sidecar serve` does, and alone in it: OpenSearch and the
applications are a process beside it (`stand_in.py`), on the same machine.
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
from sidecar.bench.stand_in import Layout, Searches
from sidecar.evaluation.search_body import plain_template
from sidecar.metrics import Metrics

WARM_WINDOWS = 4
"""Windows of hits that warm searches go round in, so that all their passages are known."""

# No more cold searches than this, as each takes a window of new documents.
_MOST_COLD = 500
# A window that takes longer than these is measured as far as it came.
_PATIENT_SEARCHES = 5
_CHUNK_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Measured:
    """Searches of one kind. Times in milliseconds, less the stand-in's own median."""

    kind: str
    searches: int
    per_second: float
    p50: float
    p95: float
    p99: float
    scored: float
    """Share of the windows' hits that a model gave a score."""

    statuses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """How fast a model read the texts of these searches: passages, or pairs with the query text."""

    name: str
    kind: str
    texts: int
    per_second: float


@dataclass(frozen=True, slots=True)
class PlanMeasured:
    """One plan on this machine; memory in MB, of the whole process."""

    plan: str
    window: int
    per_document: int
    deadline_ms: int
    searches: tuple[Measured, ...]
    models: tuple[ModelSpeed, ...]
    stand_in_ms: float
    memory_at_start: float
    memory_at_end: float
    stored: int


class StandInFailed(Exception):
    """The process beside this one ended early; what it said is on stderr."""


class StandInProcess:
    """The process that plays OpenSearch and the applications."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    async def search(self, proxy: str, searches: Searches) -> dict[str, Any]:
        """Let it search through the proxy; what `StandIn.run` says of it."""
        return await _exchange(self._process, {"proxy": proxy, **asdict(searches)})


@asynccontextmanager
async def stand_in(plan: Plan) -> AsyncIterator[StandInProcess]:
    """Start one for a plan's searches. Raises StandInFailed."""
    layout = Layout(
        window=plan.rescore_window,
        title=tuple(field.field for field in plan.document.title),
        body=tuple(field.field for field in plan.document.body),
        template=plain_template(plan),
        query_in_header=plan.query_text != "auto",
    )
    # -P: not the modules of the folder that the user happens to be in.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "sidecar.bench.stand_in"),
        stdin=PIPE,
        stdout=PIPE,
        limit=_CHUNK_BYTES,
        # Ctrl-C goes to the whole group of processes; this one ends with its input.
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
) -> PlanMeasured:
    """Search with one plan through the sidecar at `proxy`, which has just been started.

    `patient`: name of the same plan with time to read everything. `kinds`: each model's. Every
    measurement takes about `seconds`; `on_step` is called after each of `steps()`.
    """
    memory_at_start = resident_mb()
    for window in range(WARM_WINDOWS):
        await _read_all(beside, proxy, window, patient)
        on_step()
    one = Searches(windows=WARM_WINDOWS, seconds=seconds, directly=True)
    warm = await beside.search(proxy, one)
    on_step()
    together = await beside.search(
        proxy, Searches(windows=WARM_WINDOWS, seconds=seconds, clients=clients)
    )
    on_step()
    # Last, as what these searches did not reach is read on after them.
    cold = await beside.search(
        proxy, Searches(first=WARM_WINDOWS, seconds=seconds, most=_MOST_COLD, directly=True)
    )
    on_step()
    stand_in_ms = statistics.median([*cold["direct_ms"], *warm["direct_ms"]])
    speeds = [_model_speed(metrics, model, kind) for model, kind in kinds.items()]
    return PlanMeasured(
        plan=name,
        window=plan.rescore_window,
        per_document=plan.passages.per_document,
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
    """Search until every passage that the window's searches want was read."""
    for _ in range(_PATIENT_SEARCHES):
        order = Searches(first=window, windows=1, most=1, plan=patient)
        if "applied" in (await beside.search(proxy, order))["statuses"]:
            return


def steps() -> int:
    """How often `measure_plan` calls `on_step`."""
    return 3 + WARM_WINDOWS


def resident_mb() -> float:
    """Memory of this process that is in use, MB; 0 where the system does not say."""
    try:
        with Path("/proc/self/status").open(encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1.024e-3 for line in lines if "VmRSS" in line)
    except (OSError, StopIteration):
        return 0.0


def _summarise(
    kind: str, answer: Mapping[str, Any], window: int, stand_in_ms: float, clients: int
) -> Measured:
    times = [max(0.0, ms - stand_in_ms) for ms in answer["ms"]]
    # Each is the time of a search, not something between two.
    p50, p95, p99 = np.percentile(times, (50, 95, 99), method="inverted_cdf").tolist()
    # One at a time, the direct searches between them have a share in the time that passed.
    passed = answer["seconds"] if clients > 1 else sum(answer["ms"]) / 1000
    return Measured(
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
