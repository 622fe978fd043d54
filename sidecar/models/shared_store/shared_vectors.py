"""Reads shared vectors in time for a search, and writes new ones in the background.

The server may be down, slow, full, flushed, or have wrong values. Then the model reads the
passages, as without a server. Metrics count what happens, and a log line names it once a minute.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray
from sidecar.models.breaker import Breaker
from sidecar.models.passage_store import (
    DIGEST_BYTES,
    PassageStore,
    Snapshot,
    remembered_digests,
    round_vectors,
)
from sidecar.models.shared_store.values import SharedValues

if TYPE_CHECKING:
    from valkey import Valkey

MOST_KEYS = 4096
"""Passages that one search asks for; the model reads further ones."""

MOST_QUEUED_BYTES = 16 << 20
"""Values that wait to be written; further ones are dropped."""

_READERS = 2
_MOST_READS = 8
_WRITTEN_TOGETHER = 256
# A lookup of this number of passages takes half a millisecond; then other tasks may run.
_LOOKUP_TEXTS = 256
_PATIENCE_S = 2.0
# Passages that the server lacked are not asked for again for a second: a window asks once.
_ASKED_S = 1.0
_MOST_ASKED = 1 << 16
_LOG_S = 60.0
_LOG_CHARACTERS = 300
_FULL_PAUSE_S = 5.0
_CLOSE_S = 2.0

_log = logging.getLogger(__name__)


class SharedVectors:
    """The shared vectors of one model. Call `fetch` in one event loop, the rest in any thread."""

    def __init__(
        self,
        name: str,
        identity: str,
        store: PassageStore,
        client: Valkey,
        metrics: Metrics,
        *,
        timeout_s: float,
        ttl_s: int,
    ) -> None:
        """`store`: the local vectors, where vectors of the server go. `timeout_s`: how long a
        search waits. `ttl_s`: how long the server stores a vector."""
        self._name = name
        self._store = store
        self._values = SharedValues(identity, store.dimensions)
        self._client = client
        self._timeout_s = timeout_s
        self._ttl_s = ttl_s
        self._passages = metrics.shared_store.passages
        self._requests = metrics.shared_store.requests
        self._writes = metrics.shared_store.writes
        self._breaker = Breaker()
        metrics.shared_store.stopped.labels(name).set_function(lambda: self._breaker.is_open)
        self._logged: float | None = None
        self._readers = ThreadPoolExecutor(_READERS, f"shared-{name}")
        self._reads = 0
        self._asked: OrderedDict[bytes, float] = OrderedDict()
        self._room = MOST_QUEUED_BYTES // self._values.bytes
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._changed = threading.Condition()
        self._writing = False
        self._is_refused = False
        self._closing = False
        self._writer = threading.Thread(target=self._write_on, name=f"shared-{name}", daemon=True)
        self._writer.start()

    async def fetch(self, texts: Sequence[str], deadline: float | None) -> None:
        """Take the server's vectors of passages that the local store lacks into the local store.

        Waits for `timeout_s`, and not beyond `deadline` (seconds of `loop.time()`). An answer that
        comes later still goes into the local store, for the next search.
        """
        now = asyncio.get_running_loop().time()
        wait_s = self._timeout_s
        if deadline is not None:
            wait_s = min(wait_s, max(0.0, deadline - now))
        await self._fetch(texts, wait_s)

    async def fetch_patiently(self, texts: Sequence[str]) -> None:
        """`fetch` for work that no search waits for: it waits for each answer."""
        for start in range(0, len(texts), MOST_KEYS):
            await self._fetch(texts[start : start + MOST_KEYS], _PATIENCE_S)

    async def _fetch(self, texts: Sequence[str], wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        digests = (await self._missing(texts, loop.time()))[:MOST_KEYS]
        if not digests:
            return
        if self._reads >= _MOST_READS or not self._breaker.allow():
            self._requests.labels(self._name, "not_sent").inc()
            return
        for digest in digests:
            self._asked[digest] = loop.time()
        while len(self._asked) > _MOST_ASKED:
            self._asked.popitem(last=False)
        self._reads += 1
        reading = loop.run_in_executor(self._readers, self._read, digests)
        reading.add_done_callback(self._end_read)
        done, _ = await asyncio.wait({reading}, timeout=wait_s)
        if not done:
            self._requests.labels(self._name, "late").inc()
        elif reading.result():
            self._requests.labels(self._name, "in_time").inc()

    def offer(self, digests: Sequence[bytes], vectors: FloatArray) -> None:
        """Write vectors, shape (len(digests), dimensions), soon; drop them if the queue is full."""
        codes, scales = round_vectors(vectors)
        keys = [self._values.key(digest) for digest in digests]
        items = [
            (key, self._values.pack(key, row, float(scale)))
            for key, row, scale in zip(keys, codes, scales, strict=True)
        ]
        with self._changed:
            accepted = items[: max(0, self._room - len(self._queue))]
            self._queue.extend(accepted)
            self._changed.notify_all()
        self._count_writes("dropped", len(items) - len(accepted))

    async def offer_patiently(self, digests: Sequence[bytes], vectors: FloatArray) -> None:
        """`offer` for work that no search waits for: it waits until they are written."""
        if digests:
            self.offer(digests, vectors)
        await asyncio.to_thread(self.drain)

    def drain(self, timeout_s: float = 10.0) -> None:
        """Wait until the offered vectors are written, the server fails, or for `timeout_s`."""
        with self._changed:
            self._changed.wait_for(self._has_written, timeout_s)

    def _has_written(self) -> bool:
        is_stalled = self._is_refused or self._breaker.is_open
        return is_stalled or (not self._queue and not self._writing)

    def close(self) -> None:
        """Write what waits, for two seconds at most, and close the connections."""
        self.drain(_CLOSE_S)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join()
        self._readers.shutdown()
        self._client.close()
        self._client.connection_pool.disconnect()

    async def _missing(self, texts: Sequence[str], now: float) -> list[bytes]:
        """The digests that the local store lacks and that nobody has just asked for."""
        missing: dict[bytes, None] = {}
        for start in range(0, len(texts), _LOOKUP_TEXTS):
            if start:
                await asyncio.sleep(0)
            keys = remembered_digests(texts[start : start + _LOOKUP_TEXTS])
            for key, here in zip(keys, self._store.has(keys), strict=True):
                if not here and self._asked.get(key, -math.inf) + _ASKED_S <= now:
                    missing[key] = None
        return list(missing)

    def _end_read(self, _: asyncio.Future[bool]) -> None:
        self._reads -= 1

    def _read(self, digests: Sequence[bytes]) -> bool:
        """One MGET; False if it failed."""
        keys = [self._values.key(digest) for digest in digests]
        try:
            values = self._client.mget(keys)
        # The library raises errors of its own, the system's, and ValueError for a foreign answer.
        except Exception as error:
            self._fail(error)
            self._requests.labels(self._name, "failed").inc()
            return False
        self._breaker.succeed()
        rows = []
        wrong = 0
        for digest, key, value in zip(digests, keys, values, strict=True):
            if value is not None:
                vector = self._values.unpack(key, value)
                if vector is None:
                    wrong += 1
                else:
                    rows.append((digest, *vector))
        if rows:
            self._store.restore(
                Snapshot(
                    np.frombuffer(b"".join(row[0] for row in rows), np.uint8).reshape(
                        -1, DIGEST_BYTES
                    ),
                    np.stack([row[1] for row in rows]),
                    np.array([row[2] for row in rows], np.float32),
                )
            )
        if wrong:
            self._log_sometimes(f"{wrong} values of the shared store are wrong and are not used")
        counts = {"hit": len(rows), "wrong": wrong, "miss": len(keys) - len(rows) - wrong}
        for outcome, count in counts.items():
            self._passages.labels(self._name, outcome).inc(count)
        return True

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._closing)
                if self._closing:
                    self._count_writes("dropped", len(self._queue))
                    return
                if not self._breaker.allow():
                    self._changed.wait(timeout=0.1)  # until the breaker lets a probe through
                    continue
                count = min(_WRITTEN_TOGETHER, len(self._queue))
                batch = [self._queue.popleft() for _ in range(count)]
                self._writing = True
            is_refused = not self._write(batch)
            with self._changed:
                self._is_refused = is_refused
                self._changed.notify_all()
                if is_refused:
                    self._changed.wait_for(lambda: self._closing, _FULL_PAUSE_S)

    def _write(self, batch: Sequence[tuple[bytes, bytes]]) -> bool:
        """Write a batch in one exchange; False if the server is full or refuses to write."""
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for key, value in batch:
                    pipeline.set(key, value, ex=self._ttl_s, nx=True)
                answers = pipeline.execute(raise_on_error=False)
        except Exception as error:
            self._fail(error)
            self._count_writes("failed", len(batch))
            return True  # the breaker decides when the next call is made
        self._breaker.succeed()
        refusals = [answer for answer in answers if isinstance(answer, Exception)]
        written = sum(answer is True for answer in answers)
        self._count_writes("written", written)
        self._count_writes("refused", len(refusals))
        self._count_writes("present", len(answers) - written - len(refusals))
        if refusals:
            self._log_sometimes(f"the shared store refuses new vectors: {refusals[0]}")
        return not refusals

    def _count_writes(self, outcome: str, count: int) -> None:
        if count:
            self._writes.labels(self._name, outcome).inc(count)

    def _fail(self, error: Exception) -> None:
        self._breaker.fail()
        reason = str(error) or type(error).__name__
        self._log_sometimes(f"the shared store does not answer, models read instead: {reason}")

    def _log_sometimes(self, line: str) -> None:
        now = time.monotonic()
        if self._logged is None or now - self._logged >= _LOG_S:
            self._logged = now
            _log.warning("model %s: %s", self._name, line[:_LOG_CHARACTERS])
