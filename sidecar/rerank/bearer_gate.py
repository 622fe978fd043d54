"""The steps that all paths with bearer keys share: key, rate, body, answer or refusal, usage."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from aiohttp import web

from sidecar.api.request_body import BodyReader
from sidecar.config.rerank import BearerShapes
from sidecar.rerank.answer import write_json
from sidecar.rerank.body import receive_body, run_off_loop
from sidecar.rerank.callers import UNKNOWN, RateLimit, find_bearer
from sidecar.rerank.errors import ErrorAnswer
from sidecar.rerank.refusals import Cause, Refusal
from sidecar.rerank.request import parse_object
from sidecar.rerank.usage import Usage

_log = logging.getLogger(__name__)


class Form(Protocol):
    """The form of one API. `api` is its name in metrics."""

    @property
    def api(self) -> str: ...

    @property
    def write_error(self) -> Callable[[Cause, str], ErrorAnswer]: ...


@dataclass(frozen=True, slots=True)
class Answered:
    """A complete answer. `items` and `tokens` are counted as usage."""

    text: str
    items: int
    tokens: int


_F = TypeVar("_F", bound=Form)


def post_routes(
    path: str, handler: Callable[[web.Request], Awaitable[web.Response]]
) -> list[web.RouteDef]:
    """The routes of a path, which clients also send with a slash at its end."""
    return [web.post(path, handler), web.post(f"{path}/", handler)]


class BearerGate:
    """Lets callers with a valid key through, within their rate and the limits on bodies."""

    def __init__(
        self,
        settings: BearerShapes,
        usage: Usage,
        bodies: BodyReader,
        *,
        max_body_bytes: int,
        requests_per_second: float,
    ) -> None:
        self._keys = settings.keys
        self._usage = usage
        self._bodies = bodies
        self._max_body_bytes = max_body_bytes
        self._rate = RateLimit(requests_per_second)

    @property
    def has_keys(self) -> bool:
        """Whether callers need a key."""
        return bool(self._keys)

    async def answer_post(
        self,
        request: web.Request,
        form: _F,
        choose: Callable[[_F, Mapping[str, Any]], _F],
        answer: Callable[[_F, Mapping[str, Any], int], Awaitable[Answered]],
    ) -> web.Response:
        """Answer a request whose body is a JSON object.

        `choose` gives the form for the parsed body; `form` is only for errors before that.
        `answer` gets the form, the members and the size of the body in bytes, and raises Refusal.
        """
        caller = UNKNOWN
        try:
            caller = self._admit(request)
            body = await receive_body(self._bodies, request, self._max_body_bytes)
            members = await run_off_loop(len(body), lambda: parse_object(body))
            form = choose(form, members)
            answered = await answer(form, members, len(body))
        except Refusal as refusal:
            return self._refuse(form, caller, refusal)
        except Exception:
            _log.exception("a request to the rerank APIs failed")
            return self._refuse(form, caller, Refusal("internal", "an error within the sidecar"))
        self._usage.count(form.api, caller, "ok", answered.items, answered.tokens)
        return web.Response(text=answered.text, content_type="application/json")

    def answer_get(
        self, request: web.Request, form: Form, answer: Callable[[], object]
    ) -> web.Response:
        """Answer a request without a body by what `answer` returns; it may raise Refusal."""
        caller = UNKNOWN
        try:
            caller = self._admit(request)
            text = write_json(answer())
        except Refusal as refusal:
            return self._refuse(form, caller, refusal)
        self._usage.count(form.api, caller, "ok")
        return web.Response(text=text, content_type="application/json")

    def _admit(self, request: web.Request) -> str:
        """The name of the caller's key; raises Refusal `unauthorized` or `rate`."""
        caller = find_bearer(self._keys, request.headers.get("Authorization"))
        self._rate.take(caller)
        return caller

    def _refuse(self, form: Form, caller: str, refusal: Refusal) -> web.Response:
        self._usage.count(form.api, caller, refusal.cause)
        status, body = form.write_error(refusal.cause, refusal.message)
        fields = {"WWW-Authenticate": "Bearer"} if refusal.cause == "unauthorized" else {}
        if refusal.retry_after_s is not None:
            fields["Retry-After"] = str(refusal.retry_after_s)
        return web.Response(
            text=write_json(body), status=status, headers=fields, content_type="application/json"
        )
