"""One search of a routed index, from the request's bytes to the answer's, on one screen.

Whatever cannot be done ends in OpenSearch's own order: the request is forwarded as it came or,
where the widened answer is already there, the client's page is cut out of it untouched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pipelines.errors import RescoreError
from pipelines.plan import Plan
from pipelines.rescore import Rescoring, prepare, rescore
from pipelines.scoring import Scorer
from sidecar.opensearch.outcome import Outcome, Status
from sidecar.opensearch.search_request import (
    SearchHeaders,
    SearchRequest,
    read_search_request,
    widen_window,
)
from sidecar.opensearch.search_response import ReadHits, Unreadable, read_hits, splice_response
from sidecar.opensearch.skip_reasons import Skip
from sidecar.relay.content_coding import (
    DecodedTooLarge,
    UndecodableBody,
    decode_content,
    encode_content,
)
from sidecar.relay.errors import ResponseTooLarge, UpstreamError
from sidecar.relay.front import Answer, Exchanger, Forward, Request, Response

BODY_LIMIT = 32 << 20
"""Bytes of a widened answer, and of a decompressed request, that are held."""

_ON_THE_LOOP = 16 << 10
"""Bytes of an answer that are worked through in less than a millisecond. More goes to a thread,
so that the relay's other connections do not wait."""

_log = logging.getLogger("sidecar.search")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Search:
    """Where the work of one search is done: its plan, OpenSearch, and the models.

    `scorer` gives the scorer for a deadline in seconds of the monotonic clock.
    """

    plan_name: str
    plan: Plan
    upstream: Exchanger
    scorer: Callable[[float], Scorer]


class AsItCame(Exception):
    """This request is to be forwarded as it came."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


async def search_and_rescore(request: Request, search: Search) -> tuple[Forward | Answer, Outcome]:
    """Answer one taken search, and say what became of it."""
    try:
        found = _read(request, search.plan)
        response = await _fetch(request, found, search.upstream)
        content, coding = decode_answer(response)
        body, outcome = await rescore_answer(content, found, search)
    except AsItCame as end:
        outcome = Outcome(search.plan_name, end.status, end.reason)
        return Forward((outcome.header(),)), outcome
    body = await off_loop(len(body), lambda: encode_content(body, coding))
    head = response.head.write_client(content_length=len(body), add=(outcome.header(),))
    return Answer(head, body), outcome


async def rescore_answer(
    content: bytes, found: SearchRequest, search: Search
) -> tuple[bytes, Outcome]:
    """The client's page of a widened answer, in its new order; and what became of the search.

    Raises AsItCame when the answer is not one that the client's own search would have got.
    """
    answered = time.monotonic()
    try:
        read = await off_loop(len(content), lambda: read_hits(content))
    except Unreadable:
        raise AsItCame("failed", "unreadable") from None
    if read.shards_failed:
        # Perhaps on a document beyond the client's page, which it never asked for.
        raise AsItCame("failed", "shard_failures")

    rescoring: Rescoring | None = None
    status: Status = "applied"
    reason = _reason_to_leave(read)
    if reason is not None:
        status = "skipped"
    else:
        try:
            rescoring = await _rescore(read, len(content), found, search, answered)
        except RescoreError as error:
            status, reason = "failed", error.reason
        except Exception:
            _log.exception("a rescoring of plan %s failed; it is a bug", search.plan_name)
            status, reason = "failed", "error"
        else:
            for report in rescoring.stages:
                if report.scored < report.groups:
                    status, reason = "partial", report.reason or "deadline"

    order = [(ranked.position, ranked.score) for ranked in rescoring.ranking] if rescoring else None
    page = await off_loop(
        len(content),
        lambda: splice_response(read, order, found.start, found.size, search.plan.scores),
    )
    return page, Outcome(
        plan=search.plan_name,
        status=status,
        reason=reason,
        window=search.plan.rescore_window,
        scored=rescoring.scored if rescoring else 0,
        model="+".join(dict.fromkeys(stage.model for stage in search.plan.stages)),
        ms=(time.monotonic() - answered) * 1000,
    )


async def _rescore(
    read: ReadHits, size: int, found: SearchRequest, search: Search, answered: float
) -> Rescoring:
    plan = search.plan
    hits = read.window(plan.rescore_window)
    prepared = await off_loop(size, lambda: prepare(plan, found.query_text, hits))
    scorer = search.scorer(answered + plan.deadline_ms / 1000)
    return await rescore(plan, found.query_text, prepared, scorer)


def _reason_to_leave(read: ReadHits) -> str | None:
    """Why these hits are not to be put into another order."""
    if not read.hits:
        return "no_hits"
    if not read.scored:
        return "sorted"
    return "timed_out" if read.timed_out or read.terminated_early else None


def _read(request: Request, plan: Plan) -> SearchRequest:
    field = request.head.get
    headers = SearchHeaders(
        content_type=field(b"content-type"),
        accept=field(b"accept"),
        authorization=field(b"authorization"),
        x_amz_content_sha256=field(b"x-amz-content-sha256"),
        x_rescore_query=field(b"x-rescore-query"),
    )
    try:
        body = decode_content(request.body, field(b"content-encoding"), limit=BODY_LIMIT)
    except UndecodableBody:
        raise AsItCame("skipped", "content_encoding") from None
    except DecodedTooLarge:
        raise AsItCame("skipped", "body_too_large") from None
    found = read_search_request(request.head.target, body, headers, plan)
    if isinstance(found, Skip):
        raise AsItCame("skipped", found.reason)
    return found


async def _fetch(request: Request, found: SearchRequest, upstream: Exchanger) -> Response:
    """The answer to the widened search."""
    target, body = widen_window(found)
    head = request.head.write_upstream(
        target=target,
        content_length=len(body) if body else None,
        drop=(b"content-encoding", b"accept-encoding", b"expect"),
        add=_accept_encoding(request.head.get_all(b"accept-encoding")),
    )
    try:
        response = await upstream.exchange(head, body, limit=BODY_LIMIT)
    except ResponseTooLarge:
        raise AsItCame("failed", "too_large") from None
    except UpstreamError:
        raise AsItCame("failed", "upstream") from None
    if response.head.status != 200:
        # It may be an error that only the wider window caused, so the client gets its own.
        raise AsItCame("failed", "upstream_status")
    return response


def _accept_encoding(values: list[bytes]) -> tuple[bytes, ...]:
    """The client's `Accept-Encoding` without codings that cannot be undone here."""
    codings = [coding.strip() for value in values for coding in value.split(b",")]
    known = (b"gzip", b"deflate", b"identity")
    kept = [coding for coding in codings if coding.partition(b";")[0].strip().lower() in known]
    return (b"Accept-Encoding: " + b", ".join(kept),) if kept else ()


def decode_answer(response: Response) -> tuple[bytes, bytes]:
    """The answer's body without its content coding, and the coding."""
    coding = response.head.get(b"content-encoding") or b"identity"
    media_type = (response.head.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    if not media_type.endswith(b"json"):
        raise AsItCame("failed", "unreadable")
    try:
        return decode_content(response.body, coding, limit=BODY_LIMIT), coding
    except DecodedTooLarge:
        raise AsItCame("failed", "too_large") from None
    except UndecodableBody:
        raise AsItCame("failed", "unreadable") from None


async def off_loop(size: int, work: Callable[[], _T]) -> _T:
    """Do the work here, or in a thread when it is on more bytes than the event loop should."""
    return work() if size <= _ON_THE_LOOP else await asyncio.to_thread(work)
