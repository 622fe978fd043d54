"""The vectors of query texts, read while OpenSearch searches, and kept for further searches."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from pipelines.errors import DeadlinePassed
from sidecar.models.backends.base import FloatArray
from sidecar.models.passage_store import passage_digest
from sidecar.models.scheduling import Schedule

_MOST: Final = 1024
_SHORT_WAIT_S: Final = 0.05
"""The longest queue that a text joins before a search waits for it."""


class QueryVectors:
    """The query texts of one bi-encoder. Only the event loop uses it, so it needs no lock."""

    def __init__(
        self, schedule: Schedule, read: Callable[[Sequence[str]], Sequence[FloatArray]]
    ) -> None:
        """`schedule` calls `read` in the model's thread, which returns a vector for each text."""
        self._schedule = schedule
        self._read = read
        self._vectors: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._expected: dict[bytes, asyncio.Task[FloatArray]] = {}

    def expect(self, query_text: str) -> None:
        """Begin to read a query text before its passages are known.

        Where many wait, it is left to `find`, which knows the deadline and refuses what is late.
        """
        key = passage_digest(query_text)
        if key in self._vectors or key in self._expected:
            return
        if self._schedule.wait_s("queries") > _SHORT_WAIT_S:
            return
        task = asyncio.get_running_loop().create_task(self._read_expected(key, query_text))
        self._expected[key] = task

        def end(ended: asyncio.Task[FloatArray]) -> None:
            del self._expected[key]
            # If no search waits for the task, nothing else retrieves its exception.
            _ = ended.cancelled() or ended.exception()

        task.add_done_callback(end)

    async def find(self, query_text: str, deadline: float | None) -> FloatArray:
        """The vector of a query text; `deadline` is in seconds of `loop.time()`.

        Raises DeadlinePassed if it was not read in time, and what `Schedule.run` raises.
        """
        key = passage_digest(query_text)
        vector = self._vectors.get(key)
        if vector is None and (expected := self._expected.get(key)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    # Another search may wait for the same task.
                    return await asyncio.shield(expected)
        elif vector is None:
            [vector] = await self._schedule.run(self._read, [query_text], deadline, lane="queries")
        if vector is None:
            raise DeadlinePassed("the query text was not read in time")
        self._keep(key, vector)
        return vector

    async def _read_expected(self, key: bytes, query_text: str) -> FloatArray:
        [vector] = await self._schedule.run(self._read, [query_text], None, lane="queries")
        assert vector is not None  # there is no deadline
        self._keep(key, vector)
        return vector

    def _keep(self, key: bytes, vector: FloatArray) -> None:
        self._vectors[key] = vector
        self._vectors.move_to_end(key)
        if len(self._vectors) > _MOST:
            self._vectors.popitem(last=False)
