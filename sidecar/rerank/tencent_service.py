"""The handler of Tencent Cloud's RunRerank at `/`.

Every answer has status 200 and the content type `application/json` without parameters. With
others, the official SDKs lose the error or see an empty answer.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sidecar.api.request_body import BodyReader
from sidecar.api.root_service import RootService
from sidecar.config.rerank import TencentRunRerank
from sidecar.rerank.answer import write_json
from sidecar.rerank.body import receive_body, run_off_loop
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
from sidecar.rerank.tencent_signatures import SignatureInput, verify_old, verify_tc3
from sidecar.rerank.usage import Usage

_API = "tencent"
_FORM = "application/x-www-form-urlencoded"
_OPERATION = ("Action", "Version", "Region")
# Parameters of the old signatures, beside the API's own members.
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
        bodies: BodyReader,
        *,
        max_body_bytes: int,
        requests_per_second: float,
    ) -> None:
        self._settings = settings
        self._reranker = reranker
        self._usage = usage
        self._bodies = bodies
        self._max_body_bytes = max_body_bytes
        self._rate = RateLimit(requests_per_second)

    def service(self) -> RootService:
        return RootService("tencent-lkeap", _is_tencent, self._handle)

    async def _handle(self, request: web.Request) -> web.Response:
        request_id = str(uuid.uuid4())
        caller = UNKNOWN
        outcome, documents, tokens = "ok", 0, 0
        try:
            body = await receive_body(self._bodies, request, self._max_body_bytes)
            size = len(body) + len(request.raw_path)
            parts = await run_off_loop(size, lambda: _read_parts(request, body))
            caller = self._verify(request, parts)
            self._rate.take(caller)
            self._check_operation(parts.common)
            members = await run_off_loop(size, lambda: _read_members(parts))
            run_rerank = await run_off_loop(size, lambda: read_run_rerank(members, self._settings))
            scores = await self._reranker.score(run_rerank.query, run_rerank.documents)
            answer = write_run_rerank(scores.logits, scores.tokens, request_id)
            documents, tokens = len(run_rerank.documents), scores.tokens
        except TencentError as error:
            outcome, answer = error.code, write_error(error, request_id)
        except Refusal as refusal:
            outcome, answer = refusal.cause, write_error(refusal, request_id)
        except Exception:
            _log.exception("a RunRerank request failed")
            failure = Refusal("internal", "An error within the sidecar.")
            outcome, answer = failure.cause, write_error(failure, request_id)
        self._usage.count(_API, caller, outcome, documents, tokens)
        # Set as a header field, because aiohttp adds a charset to `content_type`.
        return web.Response(
            body=write_json(answer).encode(), headers={"Content-Type": "application/json"}
        )

    def _verify(self, request: web.Request, parts: _RequestParts) -> str:
        """The name of the caller's key. Raises Refusal or TencentError."""
        keys = self._settings.keys
        if not keys:
            return ANONYMOUS
        signature_input = SignatureInput(request.method, parts.query, parts.headers, parts.body)
        if "x-tc-action" in parts.headers:
            return verify_tc3(signature_input, keys, time.time())
        if not self._settings.old_signatures:
            raise TencentError(
                "AuthFailure.InvalidAuthorization", "Sign the request with TC3-HMAC-SHA256."
            )
        return verify_old(signature_input, parts.flat or {}, keys, time.time())

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
class _RequestParts:
    """A request in parts. `headers`: names in lower case. `flat`: the parameters in the query or
    in a form, None for a JSON body. `common`: Action, Version and Region."""

    query: str
    headers: Mapping[str, str]
    body: bytes
    flat: Mapping[str, str] | None
    common: Mapping[str, str]


def _is_tencent(request: web.Request) -> bool:
    """Whether the action is in a header, as from current SDKs, or in a parameter."""
    return (
        "X-TC-Action" in request.headers
        or "Action" in request.query
        or (request.method == "POST" and request.path == "/" and request.content_type == _FORM)
    )


def _read_parts(request: web.Request, body: bytes) -> _RequestParts:
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
    return _RequestParts(query, headers, body, flat, common)


def _read_members(parts: _RequestParts) -> dict[str, Any]:
    """The members of RunRerank, without the common parameters."""
    if parts.flat is None:
        return parse_object(parts.body)
    own = {name: value for name, value in parts.flat.items() if name not in _COMMON}
    return gather_documents(own)
