"""One widened answer: its hits are read and rescored, and the client's page is cut from it.

Whatever goes wrong with the rescoring leaves OpenSearch's own order, with a reason.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipelines.errors import DeadlinePassed, RescoreError
from pipelines.plan import Plan
from pipelines.rescore import Prepared, Rescoring, rescore
from pipelines.scoring import Scorers
from sidecar.opensearch.exchange import (
    BODY_LIMIT,
    READ_ON_THE_LOOP,
    AsItCame,
    decode_answer,
    off_loop,
)
from sidecar.opensearch.outcome import Outcome, Status
from sidecar.opensearch.search_request import SearchRequest, fields_read
from sidecar.opensearch.search_response import ReadHits, Unreadable, read_hits, splice_response
from sidecar.opensearch.text_fetch import TextNotFetched, read_texts, write_text_fetch
from sidecar.opensearch.window_cache import RescoredWindow, WindowCache
from sidecar.relay.errors import UpstreamError
from sidecar.relay.front import Exchanger
from sidecar.relay.heads import RequestHead
from sidecar.split_documents import SplitDocuments

_log: Final = logging.getLogger("sidecar.search")

OnRescored = Callable[[ReadHits, Prepared, Rescoring], object]
"""Is told how a search came to its order: OpenSearch's hits, their passages, and the outcome."""


@dataclass(frozen=True, slots=True)
class Search:
    """Where the work of one search is done: its plan, OpenSearch, and the models.

    `documents` are those that were cut into passages before, `windows` those that were rescored
    before; None keeps none. `plugin_plan` is what a search with the Kendra plugin's section in
    `ext` gets in place of `plan`, if there is one; its name is PLUGIN_PLAN.
    """

    plan_name: str
    plan: Plan
    upstream: Exchanger
    models: Scorers
    documents: SplitDocuments
    plugin_plan: Plan | None = None
    on_rescored: OnRescored | None = None
    windows: WindowCache | None = None

    def expect(self, query_text: str) -> None:
        """Let the models read the query text while OpenSearch searches."""
        self.models.expect((stage.model for stage in self.plan.stages), query_text)


async def rescore_answer(
    content: bytes, found: SearchRequest, search: Search, head: RequestHead | None = None
) -> RescoredWindow:
    """A widened answer with its new order, and what became of the search.

    `head` is the client's, of a `_search` of the same indices: text that the answer does not
    carry is fetched with it. Without it such a search keeps its order, with reason `text_fetch`.
    How long it took is left to the caller to say.

    Raises AsItCame when the answer is not one that the client's own search would have got.
    """
    answered = time.monotonic()
    filtered = any(parameter.name == "filter_path" for parameter in found.parameters)
    try:
        read = await off_loop(len(content), lambda: read_hits(content), READ_ON_THE_LOOP)
    except Unreadable:
        # Beside what it is told to, `filter_path` takes away what is empty: `hits.hits` too.
        if filtered:
            raise AsItCame("skipped", "no_hits") from None
        raise AsItCame("failed", "unreadable") from None
    if read.shards_failed:
        # Perhaps on a document beyond the client's page, which it never asked for.
        raise AsItCame("failed", "shard_failures")
    if filtered and found.start >= len(read.hits):
        raise AsItCame("skipped", "no_hits")  # an empty page, which only OpenSearch can filter

    rescoring: Rescoring | None = None
    status: Status = "applied"
    reason = _reason_to_leave(read)
    if reason is not None:
        status = "skipped"
    else:
        try:
            rescoring = await _rescore(read, found, search, head, answered)
        except RescoreError as error:
            status, reason = "failed", error.reason
        except Exception:
            _log.exception("a rescoring of plan %s failed; it is a bug", search.plan_name)
            status, reason = "failed", "error"
        else:
            for report in rescoring.stages:
                if report.scored < report.groups:
                    status, reason = "partial", report.reason or "deadline"

    outcome = Outcome(
        plan=search.plan_name,
        status=status,
        reason=reason,
        window=search.plan.rescore_window,
        scored=rescoring.scored if rescoring else 0,
        model="+".join(dict.fromkeys(stage.model for stage in search.plan.stages)),
    )
    order = tuple((one.position, one.score) for one in rescoring.ranking) if rescoring else None
    return RescoredWindow(search.plan, read, order, outcome)


async def cut_page(window: RescoredWindow, found: SearchRequest) -> bytes:
    """The answer with the client's page in the window's order."""
    read = window.read
    # Splicing takes two microseconds for a hit, and copies the text.
    size = 512 * len(read.hits) + len(read.text) // 16
    return await off_loop(
        size,
        lambda: splice_response(read, window.order, found.start, found.size, window.plan.scores),
        READ_ON_THE_LOOP,
    )


async def _rescore(
    read: ReadHits,
    found: SearchRequest,
    search: Search,
    head: RequestHead | None,
    answered: float,
) -> Rescoring:
    plan = search.plan
    deadline = answered + plan.deadline_ms / 1000
    hits = read.window(plan.rescore_window)
    if not found.text_in_reply:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                sources = await _fetch_text(read, search, head)
        except TimeoutError:
            raise DeadlinePassed("the text was not fetched in time") from None
        hits = read.window(plan.rescore_window, sources)
    # Reading, cutting and scoring may each take a millisecond without waiting for anything, and
    # relayed requests are to wait for one of them at most.
    await asyncio.sleep(0)
    prepared = await search.documents.prepare(plan, found.query_text, hits, deadline)
    await asyncio.sleep(0)
    rescoring = await rescore(plan, found.query_text, prepared, search.models.scorer(deadline))
    if search.on_rescored is not None:
        search.on_rescored(read, prepared, rescoring)
    return rescoring


async def _fetch_text(
    read: ReadHits, search: Search, head: RequestHead | None
) -> Sequence[Mapping[str, Any]]:
    """The sources of the window's hits."""
    if head is None:
        raise TextNotFetched("the text is not in the answer")
    hits = read.hits[: search.plan.rescore_window]
    written = write_text_fetch(head, hits, fields_read(search.plan))
    try:
        response = await search.upstream.exchange(*written, limit=BODY_LIMIT)
        if response.head.status != 200:
            raise TextNotFetched(f"OpenSearch answered {response.head.status}")
        content, _ = decode_answer(response)
    except (UpstreamError, AsItCame) as error:
        raise TextNotFetched(str(error)) from None
    return await off_loop(len(content), lambda: read_texts(content, hits))


def _reason_to_leave(read: ReadHits) -> str | None:
    """Why these hits are not to be put into another order."""
    if not read.hits:
        return "no_hits"
    if not read.scored:
        return "sorted"
    return "timed_out" if read.timed_out or read.terminated_early else None
