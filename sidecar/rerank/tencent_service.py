"""The handler of Tencent Cloud's RunRerank at `/`.

Every answer has status 200 and the bare content type `application/json`: with any other the
official SDKs lose the error, or take it for an empty answer.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sidecar.config_rerank import TencentRunRerank
from sidecar.rerank.answer import write_json
from sidecar.rerank.body import beside_the_loop, receive_body
from sidecar.rerank.callers import ANONYMOUS, UNKNOWN, RateLimit
from sidecar.rerank.refusals import Refusal
from sidecar.rerank.request import parse_object
from sidecar.rerank.reranker import Reranker
from sidecar.rerank.tencent import (
    ACTION,
    REGION,
    VERSION,
    TencentError,
    gather_documents,
    parse_form,
    read_run_rerank,
    write_error,
    write_run_rerank,
)
from sidecar.rerank.tencent_signatures import Signed, verify_old, verify_tc3
from sidecar.rerank.usage import Usage
from sidecar.root_service import RootService

_API = "tencent"
_FORM = "application/x-www-form-urlencoded"
_OPERATION = ("Action", "Version", "Region")
# What the old signatures send beside the API's own members.
_COMMON = frozenset(
    "Action Version Region Nonce Timestamp SecretId Signature SignatureMethod Language "
    "RequestClient Token".split()
)

_log = logging.getLogger(__name__)


class TencentService:
    """Answers RunRerank."""

    def __init__(
        self,
        settings: TencentRunRerank,
        reranker: Reranker,
        usage: Usage,
        *,
        max_body_bytes: int,
        requests_per_second: float,
    ) -> None:
        self._settings = settings
        self._reranker = reranker
        self._usage = usage
        self._max_body_bytes = max_body_bytes
        self._rate = RateLimit(requests_per_second)

    def service(self) -> RootService:
        return RootService("tencent-lkeap", _is_tencent, self._handle)

    async def _handle(self, request: web.Request) -> web.Response:
        request_id = str(uuid.uuid4())
        caller = UNKNOWN
        outcome, documents, tokens = "ok", 0, 0
        try:
            body = await receive_body(request, self._max_body_bytes)
            sent = await beside_the_loop(len(body), lambda: _read_sent(request, body))
            caller = self._verify(request, sent)
            self._rate.take(caller)
            self._check_operation(sent.common)
            members = await beside_the_loop(len(body), lambda: _read_members(sent))
            asked = read_run_rerank(members, self._settings)
            scored = await self._reranker.score(asked.query, asked.documents)
            answer = write_run_rerank(scored.logits, scored.tokens, request_id)
            documents, tokens = len(asked.documents), scored.tokens
        except TencentError as error:
            outcome, answer = error.code, write_error(error, request_id)
        except Refusal as refusal:
            outcome, answer = refusal.cause, write_error(refusal, request_id)
        except Exception:
            _log.exception("a RunRerank request failed")
            failure = Refusal("internal", "An error within the sidecar.")
            outcome, answer = failure.cause, write_error(failure, request_id)
        self._usage.count(_API, caller, outcome, documents, tokens)
        # As a header: aiohttp would add a charset to the content type of a text.
        return web.Response(
            body=write_json(answer).encode(), headers={"Content-Type": "application/json"}
        )

    def _verify(self, request: web.Request, sent: _Sent) -> str:
        """The name of the caller's key. Raises Refusal or TencentError."""
        keys = self._settings.keys
        if not keys:
            return ANONYMOUS
        signed = Signed(request.method, sent.query, sent.headers, sent.body)
        if "x-tc-action" in sent.headers:
            return verify_tc3(signed, keys, time.time())
        if not self._settings.old_signatures:
            raise TencentError(
                "AuthFailure.InvalidAuthorization", "Sign the request with TC3-HMAC-SHA256."
            )
        return verify_old(signed, sent.flat or {}, keys, time.time())

    def _check_operation(self, common: Mapping[str, str]) -> None:
        action, version, region = (common.get(name) for name in ("Action", "Version", "Region"))
        if not action:
            raise Refusal("missing", "The required parameter Action is missing.")
        if action != ACTION:
            raise TencentError("InvalidAction", f"The action must be {ACTION}.")
        if version and version != VERSION:
            raise TencentError("NoSuchVersion", f"The version must be {VERSION}.")
        if self._settings.strict and region != REGION:
            raise TencentError("UnsupportedRegion", f"The region must be {REGION}.")


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request in parts. `headers`: names in lower case. `flat`: its parameters when they are
    in the query or a form, None for a JSON body. `common`: Action, Version and Region."""

    query: str
    headers: Mapping[str, str]
    body: bytes
    flat: Mapping[str, str] | None
    common: Mapping[str, str]


def _is_tencent(request: web.Request) -> bool:
    """SDKs name the action in a header; with the old signatures it is a parameter."""
    return (
        "X-TC-Action" in request.headers
        or "Action" in request.query
        or (request.method == "POST" and request.path == "/" and request.content_type == _FORM)
    )


def _read_sent(request: web.Request, body: bytes) -> _Sent:
    if request.method not in ("GET", "POST"):
        raise TencentError("UnsupportedProtocol", "Only GET and POST are supported.")
    headers = {name.lower(): value for name, value in request.headers.items()}
    query = request.raw_path.partition("?")[2]
    flat = None
    if request.method == "GET":
        flat = parse_form(query)
    elif request.content_type == _FORM:
        flat = parse_form(body.decode("utf-8", "replace"))
    if "x-tc-action" in headers:
        common = {name: headers.get(f"x-tc-{name.lower()}", "") for name in _OPERATION}
    else:
        common = {name: (flat or {}).get(name, "") for name in _OPERATION}
    return _Sent(query, headers, body, flat, common)


def _read_members(sent: _Sent) -> dict[str, Any]:
    """The members of the API itself."""
    if sent.flat is None:
        return parse_object(sent.body)
    own = {name: value for name, value in sent.flat.items() if name not in _COMMON}
    return gather_documents(own)
