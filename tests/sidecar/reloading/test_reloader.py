"""The reloader: one at a time, any number of wishes meanwhile are one more reload."""

from __future__ import annotations

import asyncio
import threading

from sidecar.config.main_file import Config, MainFile
from sidecar.metrics import Metrics
from sidecar.reloading.reloader import Reloader, ReloadRefused

CONFIG = Config(MainFile.model_validate({"upstream": {"urls": ["http://node:9200"]}}), {})


class Reloads:
    def __init__(self) -> None:
        self.reads = 0
        self.told: list[str] = []
        self.error: Exception | None = None
        self.reading = threading.Event()
        self.may_read = threading.Event()
        self.metrics = Metrics()
        self.applied: asyncio.Queue[int] = asyncio.Queue()
        self.reloader = Reloader(self.read, self.apply, self.metrics, self.tell)

    def tell(self, *lines: str) -> None:
        self.told.append(lines[0])

    def read(self) -> Config:
        self.reads += 1
        self.reading.set()
        assert self.may_read.wait(60)
        return CONFIG

    async def apply(self, config: Config) -> list[str]:
        await self.applied.put(self.reads)
        if self.error is not None:
            raise self.error
        return ["changed"]

    async def end(self) -> None:
        while (task := self.reloader._task) is not None:
            await asyncio.wait([task])

    def count(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value(
            "rescore_config_reloads_total", {"outcome": outcome}
        )
        return value or 0.0


async def test_wishes_during_a_reload_are_one_more_reload() -> None:
    reloads = Reloads()
    reloads.reloader.request()
    assert reloads.reloader._task is None  # the first configuration is not complete
    reloads.reloader.begin()
    await asyncio.to_thread(reloads.reading.wait, 60)
    for _ in range(5):
        reloads.reloader.request()
    reloads.may_read.set()
    await reloads.end()
    assert reloads.reads == reloads.count("applied") == 2
    assert reloads.told == ["RELOADING=1", "READY=1"] * 2


async def test_a_reload_that_fails_does_not_end_the_next() -> None:
    reloads = Reloads()
    reloads.may_read.set()
    reloads.reloader.begin()
    for error in (ValueError("a bug"), ReloadRefused(["one", "two"]), None):
        reloads.error = error
        reloads.reloader.request()
        await reloads.end()
    assert [reloads.count(name) for name in ("failed", "refused", "applied")] == [1, 1, 1]
    assert reloads.reloader.last is not None
    assert reloads.reloader.last.outcome == "applied"


async def test_after_the_end_there_is_no_reload() -> None:
    reloads = Reloads()
    reloads.may_read.set()
    reloads.reloader.begin()
    await reloads.reloader.stop()
    reloads.reloader.request()
    assert reloads.reloader._task is None
