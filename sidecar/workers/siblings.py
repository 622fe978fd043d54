"""Workers answer each other over Unix sockets in a folder that only their user may enter.

A question is one line: `metrics`, `ready`, or `cached KIND KEY`. The answer is one JSON value. Each
sample gets the label `worker`, so a restarted worker's counters begin again in series of their own.
Cached values are pickled, which is safe between processes of one program and one user.
"""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
from collections.abc import Awaitable, Callable, Iterator
from operator import itemgetter
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Exemplar, Metric

from sidecar.expiring_cache import CachedValue, NoOtherCaches
from sidecar.workers.sharing import WorkerPart

_ANSWER_S: Final = 2.0
_CACHED_S: Final = 0.1
_MOST_BYTES: Final = 16 << 20


class NoSiblings(NoOtherCaches):
    """What a process has that is no worker."""

    async def start(self) -> None:
        """There is nobody to answer."""

    def stop(self) -> None:
        """There is nobody to answer."""


class Siblings(NoSiblings):
    """The other workers of one parent. Belongs to one event loop."""

    def __init__(
        self,
        part: WorkerPart,
        registry: CollectorRegistry,
        report_ready: Callable[[], Awaitable[bool]],
    ) -> None:
        """`report_ready`: whether this worker's own models are ready."""
        self._part = part
        self._registry = registry
        self._report_ready = report_ready
        self._server: asyncio.Server | None = None
        self._caches: dict[str, Callable[[bytes], CachedValue | None]] = {}

    @property
    def exist(self) -> bool:
        """See `OtherCaches`."""
        return self._part.count > 1

    def offer(self, kind: str, find: Callable[[bytes], CachedValue | None]) -> None:
        """See `OtherCaches`."""
        self._caches[kind] = find

    async def find(self, kind: str, key: bytes) -> CachedValue | None:
        """See `OtherCaches`."""
        answers = await self._ask_all(f"cached {kind} {key.hex()}", _CACHED_S)
        found = [answer for answer in answers.values() if answer is not None]
        if not found:
            return None
        expires, owner, value = max(found, key=itemgetter(0))
        # Only this program, by this user, answers in the folder.
        order = pickle.loads(base64.b64decode(value))  # noqa: S301
        return CachedValue(order, bytes.fromhex(owner), expires)

    def _find_cached(self, kind: str, key: str) -> Any:
        find = self._caches.get(kind)
        cached = None if find is None else find(bytes.fromhex(key))
        if cached is None:
            return None
        value = base64.b64encode(pickle.dumps(cached.value)).decode()
        return cached.expires, cached.owner.hex(), value

    async def start(self) -> None:
        """Answer the others."""
        path = self._part.socket_of(self._part.number)
        path.unlink(missing_ok=True)  # of this worker before it was restarted
        self._server = await asyncio.start_unix_server(self._answer, path)

    def stop(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()

    async def collect(self) -> AllMetrics:
        """The metrics of all workers that answer."""
        found = {self._part.number: _to_json(self._registry)}
        found.update(await self._ask_all("metrics"))
        return AllMetrics({number: value for number, value in found.items() if value is not None})

    async def report(self) -> dict[str, str]:
        """`ready`, `loading` or `does not answer`, by the number of each other worker."""
        words = {True: "ready", False: "loading", None: "does not answer"}
        return {str(n): words[value] for n, value in (await self._ask_all("ready")).items()}

    async def _ask_all(self, question: str, seconds: float = _ANSWER_S) -> dict[int, Any]:
        others = [n for n in range(self._part.count) if n != self._part.number]
        answers = await asyncio.gather(*(self._ask(n, question, seconds) for n in others))
        return dict(zip(others, answers, strict=True))

    async def _ask(self, number: int, question: str, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                path = self._part.socket_of(number)
                reader, writer = await asyncio.open_unix_connection(path, limit=_MOST_BYTES)
                try:
                    writer.write(question.encode() + b"\n")
                    return json.loads(await reader.readline())
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer: Any = None
                match (await reader.readline()).decode().split():
                    case ["metrics"]:
                        answer = _to_json(self._registry)
                    case ["ready"]:
                        answer = await self._report_ready()
                    case ["cached", kind, key]:
                        answer = self._find_cached(kind, key)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            return
        finally:
            writer.close()


def find_siblings(
    part: WorkerPart | None,
    registry: CollectorRegistry,
    report_ready: Callable[[], Awaitable[bool]],
) -> NoSiblings:
    """The other workers, if this process is one."""
    return NoSiblings() if part is None else Siblings(part, registry, report_ready)


class AllMetrics:
    """What the encoders of prometheus_client take: something with `collect`."""

    def __init__(self, by_worker: dict[int, list[Any]]) -> None:
        self._by_worker = by_worker

    def collect(self) -> Iterator[Metric]:
        """Each metric once, with the samples of all workers."""
        metrics: dict[str, Metric] = {}
        for number, families in sorted(self._by_worker.items()):
            for name, documentation, kind, unit, samples in families:
                metric = metrics.get(name)
                if metric is None:
                    metric = metrics[name] = Metric(name, documentation, kind, unit)
                for sample, labels, value, exemplar in samples:
                    metric.add_sample(
                        sample,
                        {**labels, "worker": str(number)},
                        float(value),
                        exemplar=None if exemplar is None else Exemplar(*exemplar),
                    )
        yield from metrics.values()


def _to_json(registry: CollectorRegistry) -> list[Any]:
    return [
        (
            *(metric.name, metric.documentation, metric.type, metric.unit),
            [
                (
                    *(sample.name, sample.labels, repr(float(sample.value))),
                    None if sample.exemplar is None else tuple(sample.exemplar),
                )
                for sample in metric.samples
            ],
        )
        for metric in registry.collect()
    ]
