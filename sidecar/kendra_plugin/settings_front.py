"""A front that takes requests that create, change or delete indexes with the plugin's settings.

The Kendra plugin's settings are cut out of the request. They are stored here after the cluster has
accepted the rest, because only the cluster knows who may create or change an index. All other
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

from sidecar.config.limits import Limits
from sidecar.event_loop.off_loop import NEW, Busy, off_loop
from sidecar.kendra_plugin.settings import (
    BadSetting,
    SettingsRequest,
    may_have_settings,
    read_settings_request,
)
from sidecar.kendra_plugin.settings_file import PluginSettingsFile
from sidecar.opensearch_rules.index_lists import is_long_list
from sidecar.opensearch_rules.limits import REQUEST_LINE_BYTES
from sidecar.opensearch_rules.request_headers import find_forbidding_header, read_headers
from sidecar.relay.errors import UpstreamError, error_answer
from sidecar.relay.front import Answer, Exchanger, Forward, Front, Request, Take
from sidecar.relay.heads import RequestHead
from sidecar.spans.url_parameters import BadUrl, decode_escapes, read_url_parameters

_log: Final = logging.getLogger("sidecar.search")

_ANSWER_LIMIT: Final = 1 << 20
_ON_THE_LOOP: Final = 2 << 10
"""Bytes of settings that are read in less than a millisecond, with the span of each value."""

# The names that OpenSearch allows for an index; `-a`, `+a` and `_a` mean something else.
_one_index = re.compile(r'(?![-+_])[^\\/*?"<>|\s,#:]+').fullmatch

_ABOUT_THE_BODY: Final = (
    *(b"content-type", b"content-encoding", b"accept", b"accept-encoding", b"expect"),
)


@dataclass(frozen=True, slots=True)
class IndexCall:
    """A request that creates, changes or deletes indexes, each by its literal name."""

    kind: Literal["create", "settings", "delete"]
    names: tuple[str, ...]


def read_index_call(method: bytes, target: bytes, max_names: int) -> IndexCall | None:
    """Read `PUT /INDEX`, `PUT /INDEX/_settings` or `DELETE /INDEX,...`; None for other requests.

    Runs for every PUT and DELETE of the proxy listener. None also for a list with more than
    `max_names` names; by default OpenSearch refuses such a long path.
    """
    segments = target.partition(b"?")[0].rstrip(b"/").split(b"/", 3)
    kind: Literal["create", "settings", "delete"]
    if len(segments) == 2:
        kind = "create" if method == b"PUT" else "delete"
    elif len(segments) == 3 and segments[2] == b"_settings" and method == b"PUT":
        kind = "settings"
    else:
        return None
    if segments[0] or b"#" in target or is_long_list(segments[1], max_names):
        return None
    try:
        names = decode_escapes(segments[1], plus_is_blank=False).split(",")
    except BadUrl:
        return None
    if len(names) > 1 and kind != "delete" or not all(map(_one_index, names)):
        return None
    return IndexCall(kind, tuple(dict.fromkeys(names)))


class PluginSettingsFront:
    """A `relay.front.Front` before the front `behind` it. Belongs to one event loop."""

    def __init__(
        self, behind: Front, upstream: Exchanger, settings: PluginSettingsFile, limits: Limits
    ) -> None:
        self._behind = behind
        self._limits = limits
        self._upstream = upstream
        self._settings = settings
        self._locks = settings.locks
        self._running: set[asyncio.Task[Answer]] = set()

    def takes(self, head: RequestHead) -> Take | None:
        """Take requests that may change the plugin's settings of an index."""
        if head.method not in (b"PUT", b"DELETE"):
            return self._behind.takes(head)
        call = read_index_call(head.method, head.target, self._limits.index_names)
        if call is None or (call.kind == "delete" and not self._concerns(call)):
            return self._behind.takes(head)
        return partial(self._take, call)

    def too_large(self, head: RequestHead, key: str) -> Forward | Answer:
        """Ask the front behind this one; see `relay.front.Front`."""
        return self._behind.too_large(head, key)

    def answered(self, head: RequestHead, status: int) -> None:
        """Tell the front behind this one; see `relay.front.Front`."""
        self._behind.answered(head, status)

    async def finish(self) -> None:
        """Wait for the requests that still run after their clients have gone."""
        while self._running:
            await asyncio.wait(self._running)

    async def stop(self) -> None:
        """Cancel the requests that still run after their clients have gone."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _take(self, call: IndexCall, request: Request) -> Forward | Answer:
        try:
            settings_request = await _read(call, request, self._limits)
        except BadSetting as error:
            return _refusal(str(error))
        has_settings = settings_request is not None and settings_request.body != request.body
        may_remove_settings = self._concerns(call) and (
            settings_request is not None or call.kind != "settings"
        )
        if not has_settings and not may_remove_settings:
            return Forward()
        if call.kind == "settings" and not await self._is_index(call.names[0], request.head):
            return Forward()
        return await self._finish(self._send(call, request, settings_request))

    def _concerns(self, call: IndexCall) -> bool:
        """Whether an index has settings, or may get some from a request that is in progress."""
        return any(name in self._settings or name in self._locks for name in call.names)

    async def _finish(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        # If the client goes away, the cluster may still create the index, so the request goes on.
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _send(
        self, call: IndexCall, request: Request, settings_request: SettingsRequest | None
    ) -> Answer:
        """The cluster's answer to the request without the plugin's settings."""
        body = request.body if settings_request is None else settings_request.body
        message = request.head.write_with_body(body, drop=(b"expect",))
        locks = [self._locks.setdefault(name, asyncio.Lock()) for name in sorted(call.names)]
        async with AsyncExitStack() as held:
            # Changes of one index are sent one after the other, so that cluster and file agree.
            for lock in locks:
                await held.enter_async_context(lock)
            try:
                response = await self._upstream.exchange(*message, limit=_ANSWER_LIMIT)
            except UpstreamError as error:
                return Answer(*error_answer(error.status, error.reason, str(error)))
            if 200 <= response.head.status < 300:
                await self._store(call, settings_request)
        self._behind.answered(request.head, response.head.status)
        length = len(response.body)
        return Answer(response.head.write_client(content_length=length), response.body)

    async def _store(self, call: IndexCall, settings_request: SettingsRequest | None) -> None:
        for name in call.names:
            before = self._settings.values(name) if call.kind == "settings" else {}
            values = before if settings_request is None else settings_request.change(before)
            try:
                await self._settings.store(name, values)
            except OSError as error:
                _log.error(
                    "the plugin settings of %s cannot be written to the file and will be lost when "
                    "this process ends: %s",
                    name,
                    error.strerror or error,
                )
            if values:
                complete = self._settings.ranking(name) is not None
                state = "" if complete else "; it is not rescored without order 1 and a body_field"
                _log.info("index %s has plugin settings: %s%s", name, ", ".join(values), state)

    async def _is_index(self, name: str, head: RequestHead) -> bool:
        """Whether the cluster tells this caller that the name is an index, and not an alias."""
        path = head.target.partition(b"?")[0].rstrip(b"/")
        message = head.write_with_body(
            b"", method=b"GET", target=path + b"/index.uuid", drop=_ABOUT_THE_BODY
        )
        try:
            response = await self._upstream.exchange(*message, limit=_ANSWER_LIMIT)
            return response.head.status == 200 and list(json.loads(response.body)) == [name]
        except (UpstreamError, ValueError, TypeError):
            return False


async def _read(call: IndexCall, request: Request, limits: Limits) -> SettingsRequest | None:
    """The plugin's settings in a request that can be edited, or None. Raises BadSetting."""
    head, body = request.head, request.body
    if call.kind == "delete" or not body or head.get(b"content-encoding") is not None:
        return None
    # The answer is not read, so it may have any format.
    if find_forbidding_header(read_headers(head), True) in ("signed", "content_type"):
        return None
    if call.kind == "settings" and not _sets_all(head.target, limits):
        return None
    creates = call.kind == "create"
    if not may_have_settings(body, creates=creates):
        return None
    try:
        return await off_loop(
            len(body),
            lambda: read_settings_request(body, limits, creates=creates),
            _ON_THE_LOOP,
            NEW,
        )
    except Busy:
        return None  # the cluster answers that it does not know the plugin's settings


def _sets_all(target: bytes, limits: Limits) -> bool:
    """Whether the request also changes settings that the index already has."""
    if len(target) > REQUEST_LINE_BYTES:
        return False
    try:
        parameters = read_url_parameters(target, limits.url_parameters)
    except BadUrl:
        return False
    return all(parameter.name != "preserve_existing" for parameter in parameters)


def _refusal(reason: str) -> Answer:
    """The answer that OpenSearch gives to a wrong value of a setting."""
    error_type = "illegal_argument_exception"
    cause = {"type": error_type, "reason": reason}
    error = {"root_cause": [cause], **cause}
    body = json.dumps({"error": error, "status": 400}, separators=(",", ":")).encode()
    head = (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=UTF-8\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )
    return Answer(head, body)
