"""Writes queries to OpenSearch's User Behavior Insights, where clicks can be joined with them.

Queries wait in a bounded queue and are written in batches, away from the searches, with the
sidecar's own account. A batch that cannot be written is counted and dropped.

Source: the UBI specification 1.3 (ubi_queries), and the mapping of OpenSearch's UBI plugin 3.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count, islice
from typing import Any, Final

from aiohttp import ClientError, ClientSession

from pipelines.texts import replace_surrogates
from sidecar.cluster_client import open_cluster_session
from sidecar.config.adoption import Ubi
from sidecar.config.main_file import Upstream
from sidecar.metrics import Metrics
from sidecar.resigning.signer import Signer

_log: Final = logging.getLogger("sidecar.ubi")

_BATCH: Final = 200
_TIMEOUT_S: Final = 10.0
_PAUSE_S: Final = 5.0  # after a batch that failed

_KEYWORD: Final = {"type": "keyword", "ignore_above": 100}
_MAPPING: Final[Mapping[str, Any]] = {
    "dynamic": False,
    "properties": {
        "timestamp": {"type": "date"},
        "query_id": _KEYWORD,
        "query": {"type": "text"},
        "query_response_id": _KEYWORD,
        "query_response_hit_ids": {"type": "keyword"},
        "user_query": {
            "type": "text",
            "fields": {"keyword": {"type": "keyword", "ignore_above": 256}},
        },
        "query_attributes": {"type": "flat_object"},
        "client_id": _KEYWORD,
    },
}


class _Refused(Exception):
    """OpenSearch refused a batch, or the index; the message is for the log."""


class UbiQueries:
    """The queue of queries, and the task that writes them. Belongs to one event loop."""

    def __init__(
        self,
        settings: Ubi,
        upstream: Upstream,
        tls: ssl.SSLContext | None,
        metrics: Metrics,
        signer: Signer | None,
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._tls = tls
        self._signer = signer
        self._waiting: deque[str] = deque()
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._index_ready = False
        self._written, self._failed, self._dropped = (
            metrics.ubi_queries.labels(result) for result in ("written", "failed", "dropped")
        )
        self._warned = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, query: Mapping[str, object]) -> None:
        """Write one document soon; its `user_query` only if the configuration allows texts."""
        if self._closing.is_set() or len(self._waiting) >= self._settings.max_waiting:
            self._dropped.inc()
            return
        if not self._settings.query_text:
            query = {key: value for key, value in query.items() if key != "user_query"}
        text = json.dumps(query, ensure_ascii=False, separators=(",", ":"))
        self._waiting.append(replace_surrogates(text))
        self._work.set()

    async def close(self, seconds: float) -> None:
        """Write what waits, for this long at most; the rest is dropped."""
        self._closing.set()
        self._work.set()
        _, late = await asyncio.wait([self._task], timeout=seconds)
        if late:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._dropped.inc(len(self._waiting))
        self._waiting.clear()

    async def _run(self) -> None:
        async with open_cluster_session(
            self._upstream, self._tls, _TIMEOUT_S, signer=self._signer
        ) as session:
            for turn in count():
                await self._work.wait()
                if not self._waiting:
                    if self._closing.is_set():
                        return
                    self._work.clear()
                    continue
                batch = list(islice(self._waiting, _BATCH))
                for _ in batch:
                    self._waiting.popleft()
                url = self._upstream.urls[turn % len(self._upstream.urls)]
                try:
                    await self._write(session, url, batch)
                except asyncio.CancelledError:
                    self._dropped.inc(len(batch))
                    raise

    async def _write(self, session: ClientSession, url: str, batch: Sequence[str]) -> None:
        try:
            if not self._index_ready:
                await self._create_index(session, url)
            refused = await self._send(session, url, batch)
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            await self._fail(len(batch), type(error).__name__)
        except _Refused as error:
            await self._fail(len(batch), str(error))
        else:
            self._written.inc(len(batch) - refused)
            self._failed.inc(refused)
            self._warned = False

    async def _fail(self, documents: int, why: str) -> None:
        self._failed.inc(documents)
        if not self._warned:
            _log.warning(
                "queries for %s cannot be written: %s; the account in `upstream` needs the right "
                "to create and write this index",
                self._settings.index,
                why,
            )
        self._warned = True
        if not self._closing.is_set():
            try:
                await asyncio.wait_for(self._closing.wait(), _PAUSE_S)
            except TimeoutError:
                return

    async def _create_index(self, session: ClientSession, url: str) -> None:
        target = f"{url.rstrip('/')}/{self._settings.index}"
        async with session.head(target) as response:
            if response.status == 200:
                self._index_ready = True
                return
        settings = {"number_of_shards": 1, "auto_expand_replicas": "0-2"}
        async with session.put(
            target, json={"settings": settings, "mappings": _MAPPING}
        ) as response:
            # 400: another sidecar, or the plugin, has created it meanwhile.
            if response.status not in (200, 400):
                raise _Refused(f"OpenSearch answered {response.status}")
        self._index_ready = True

    async def _send(self, session: ClientSession, url: str, batch: Sequence[str]) -> int:
        """Write a batch; returns how many documents OpenSearch refused."""
        action = json.dumps({"create": {}})
        body = "".join(f"{action}\n{document}\n" for document in batch)
        async with session.post(
            f"{url.rstrip('/')}/{self._settings.index}/_bulk?filter_path=errors,items.*.status",
            data=body.encode(),
            headers={"Content-Type": "application/x-ndjson"},
        ) as response:
            if response.status != 200:
                raise _Refused(f"OpenSearch answered {response.status}")
            answer = await response.json()
        if not answer.get("errors"):
            return 0
        return sum(item["create"]["status"] >= 300 for item in answer["items"])
