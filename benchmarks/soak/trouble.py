"""Kills nodes and starts them again, and knows what this excuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from itertools import cycle
from typing import Final

from benchmarks.soak.results import Results
from tests.nodes.cluster import NAMES, Cluster

_DEAD_S: Final = 15.0
_SETTLING_S: Final = 35.0
"""The time after a death or a return in which OpenSearch itself may refuse: it chooses another
cluster manager, which waits up to 30 seconds, and moves shards."""


async def finish(work: Coroutine[None, None, None]) -> None:
    """Do the work; if this is cancelled meanwhile, the work still ends first."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class Trouble:
    """Kills one node of the cluster after the other."""

    def __init__(self, cluster: Cluster, every_s: float, results: Results) -> None:
        self._cluster = cluster
        self._every_s = every_s
        self._results = results
        self._excused_until = 0.0

    def excuses(self, begun: float) -> bool:
        """Whether a request that began then, in `time.monotonic` seconds, may have met a node that
        died."""
        return begun < self._excused_until

    async def run(self) -> None:
        """Until cancelled; the cluster is whole when this ends."""
        for name in cycle(NAMES):
            await asyncio.sleep(self._every_s)
            self._excused_until = float("inf")
            await finish(self._kill_and_start(name))

    async def _kill_and_start(self, name: str) -> None:
        self._results.kills += 1
        try:
            await asyncio.to_thread(self._cluster.kill, name)
            await asyncio.sleep(_DEAD_S)
        finally:
            await asyncio.to_thread(self._cluster.start, name)
            await asyncio.to_thread(self._cluster.join)
            self._excused_until = time.monotonic() + _SETTLING_S
