"""Creations, changes and deletions of indexes, for the Kendra plugin's settings among them.

What the plugin would have kept is cut out of the request and kept here, once the cluster has
accepted the rest: who may make or change an index is for the cluster alone to judge. All other
requests go to the front behind this one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal
from weakref import WeakValueDictionary

from sidecar.opensearch.exchange import off_loop, read_headers
from sidecar.opensearch.plugin_settings import BadSetting, SettingsRequest, read_settings_request
from sidecar.opensearch.plugin_settings_file import PluginSettingsFile
from sidecar.opensearch.search_request import reason_of_headers
from sidecar.opensearch.url_parameters import BadUrl, decode_escapes, read_url_parameters
from sidecar.relay.errors import UpstreamError, error_answer
from sidecar.relay.front import Answer, Exchanger, Forward, Front, Request, Take
from sidecar.relay.heads import RequestHead

_log: Final = logging.getLogger("sidecar.search")

_ANSWER_LIMIT: Final = 1 << 20

# What OpenSearch allows in an index's name; `-a`, `+a` and `_a` are something else.
_one_index = re.compile(r'(?![-+_])[^\\/*?"<>|\s,#:]+').fullmatch

_ABOUT_THE_BODY: Final = (
    *(b"content-type", b"content-encoding", b"accept", b"accept-encoding", b"expect"),
)


@dataclass(frozen=True, slots=True)
class IndexCall:
    """A request that makes, changes or deletes indexes, each by its literal name."""

    kind: Literal["create", "settings", "delete"]
    names: tuple[str, ...]


def read_index_call(method: bytes, target: bytes) -> IndexCall | None:
    """`PUT /INDEX`, `PUT /INDEX/_settings` or `DELETE /INDEX,...`; None for all else.

    Runs for every PUT and DELETE of the proxy listener.
    """
    segments = target.partition(b"?")[0].rstrip(b"/").split(b"/")
    kind: Literal["create", "settings", "delete"]
    if len(segments) == 2:
        kind = "create" if method == b"PUT" else "delete"
    elif len(segments) == 3 and segments[2] == b"_settings" and method == b"PUT":
        kind = "settings"
    else:
        return None
    if segments[0] or b"#" in target:
        return None
    try:
        names = decode_escapes(segments[1], plus_is_blank=False).split(",")
    except BadUrl:
        return None
    if len(names) > 1 and kind != "delete" or not all(map(_one_index, names)):
        return None
    return IndexCall(kind, tuple(dict.fromkeys(names)))


class PluginSettingsFront:
    """A `relay.front.Front` before another one. Belongs to one event loop."""

    def __init__(self, behind: Front, upstream: Exchanger, kept: PluginSettingsFile) -> None:
        self._behind = behind
        self._upstream = upstream
        self._kept = kept
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[Answer]] = set()

    def takes(self, head: RequestHead) -> Take | None:
        """Take what may change the settings of an index."""
        if head.method not in (b"PUT", b"DELETE"):
            return self._behind.takes(head)
        call = read_index_call(head.method, head.target)
        if call is None or (call.kind == "delete" and not self._concerns(call)):
            return self._behind.takes(head)
        return partial(self._take, call)

    def too_large(self, head: RequestHead) -> Forward:
        """Let the request pass; see `relay.front.Front`."""
        return self._behind.too_large(head)

    async def stop(self) -> None:
        """End the requests whose clients are gone."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _take(self, call: IndexCall, request: Request) -> Forward | Answer:
        try:
            asked = await _read(call, request)
        except BadSetting as error:
            return _refusal(str(error))
        # What neither has the plugin's settings nor may end some goes its ordinary way.
        changed = asked is not None and asked.body != request.body
        ends = self._concerns(call) and (asked is not None or call.kind != "settings")
        if not changed and not ends:
            return Forward()
        if call.kind == "settings" and not await self._is_index(call.names[0], request.head):
            return Forward()
        return await self._unless_cancelled(self._send(call, request, asked))

    def _concerns(self, call: IndexCall) -> bool:
        """Whether an index has settings, or may get some from a request that is under way."""
        return any(name in self._kept or name in self._locks for name in call.names)

    async def _unless_cancelled(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        # A client that does not wait for the answer has still made its index.
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _send(
        self, call: IndexCall, request: Request, asked: SettingsRequest | None
    ) -> Answer:
        """The cluster's answer to the request without the plugin's settings."""
        body = request.body if asked is None else asked.body
        head = request.head.write_upstream(
            content_length=len(body) if body else None, drop=(b"expect",)
        )
        locks = [self._locks.setdefault(name, asyncio.Lock()) for name in sorted(call.names)]
        async with AsyncExitStack() as held:
            # In the order in which the cluster hears of it, so that both agree in the end.
            for lock in locks:
                await held.enter_async_context(lock)
            try:
                response = await self._upstream.exchange(head, body, limit=_ANSWER_LIMIT)
            except UpstreamError as error:
                return Answer(*error_answer(error.status, error.reason, str(error)))
            if 200 <= response.head.status < 300:
                await self._keep(call, asked)
        length = len(response.body)
        return Answer(response.head.write_client(content_length=length), response.body)

    async def _keep(self, call: IndexCall, asked: SettingsRequest | None) -> None:
        for name in call.names:
            before = self._kept.values(name) if call.kind == "settings" else {}
            values = before if asked is None else asked.change(before)
            try:
                await self._kept.store(name, values)
            except OSError as error:
                _log.error(
                    "the plugin settings of %s are not in the file and end with this process: %s",
                    name,
                    error.strerror or error,
                )
            if values:
                complete = self._kept.ranking(name) is not None
                state = "" if complete else "; not rescored without order 1 and a body_field"
                _log.info("index %s has plugin settings: %s%s", name, ", ".join(values), state)

    async def _is_index(self, name: str, head: RequestHead) -> bool:
        """Whether the cluster tells this caller that it is an index, and no alias."""
        path = head.target.partition(b"?")[0].rstrip(b"/")
        written = head.write_upstream(
            method=b"GET",
            target=path + b"/index.uuid",
            content_length=0,
            drop=_ABOUT_THE_BODY,
        )
        try:
            response = await self._upstream.exchange(written, limit=_ANSWER_LIMIT)
            return response.head.status == 200 and list(json.loads(response.body)) == [name]
        except (UpstreamError, ValueError, TypeError):
            return False


async def _read(call: IndexCall, request: Request) -> SettingsRequest | None:
    """The plugin's settings in a request that can be changed; raises BadSetting."""
    head, body = request.head, request.body
    if call.kind == "delete" or not body or head.get(b"content-encoding") is not None:
        return None
    # The answer is not read, so any format of it will do.
    if reason_of_headers(read_headers(head), True) in ("signed", "content_type"):
        return None
    if call.kind == "settings" and not _sets_all(head.target):
        return None
    creates = call.kind == "create"
    return await off_loop(len(body), lambda: read_settings_request(body, creates=creates))


def _sets_all(target: bytes) -> bool:
    """Whether no parameter keeps settings as they are that an index has already."""
    try:
        parameters = read_url_parameters(target)
    except BadUrl:
        return False
    return all(parameter.name != "preserve_existing" for parameter in parameters)


def _refusal(reason: str) -> Answer:
    """OpenSearch's answer to a value that a setting does not take."""
    error_type = "illegal_argument_exception"
    cause = {"type": error_type, "reason": reason}
    error = {"root_cause": [cause], **cause}
    body = json.dumps({"error": error, "status": 400}, separators=(",", ":")).encode()
    head = (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=UTF-8\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )
    return Answer(head, body)
