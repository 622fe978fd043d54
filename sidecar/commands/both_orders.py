"""Searches with every query in both orders: OpenSearch's own, and the sidecar's before it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sidecar.commands.in_process import open_session
from sidecar.config import Upstream
from sidecar.evaluation.searching import Answer, run_queries, warm_up
from sidecar.screen import progress_bar

Run = Mapping[str, Answer]


async def search_both_orders(
    console: Console,
    upstream: Upstream,
    folder: Path,
    index: str,
    proxy: str,
    bodies: Mapping[str, Mapping[str, Any]],
    *,
    plan_header: str | None,
    warm_up_header: str | None,
) -> tuple[Run, Run]:
    """Both runs, one search after another, so that the times of both can be compared.

    The sidecar at the URL `proxy` is warm by then: each query has been searched before, until it
    was rescored in full. The headers name the plans that the searches ask for, if they do: the
    one that is measured, and the one that gets the sidecar warm. Raises SearchFailed.
    """
    direct_url = f"{upstream.urls[0].rstrip('/')}/{index}/_search"
    proxy_url = f"{proxy.rstrip('/')}/{index}/_search"
    count = len(bodies)
    async with (
        open_session(upstream, folder) as cluster,
        open_session(upstream, folder, warm_up_header) as warming,
        open_session(upstream, folder, plan_header) as sidecar,
    ):
        with progress_bar(console, "reading passages", count) as advance:
            await warm_up(warming, proxy_url, bodies, on_answer=advance)
        with progress_bar(console, "OpenSearch's order", count) as advance:
            direct = await run_queries(cluster, direct_url, bodies, on_answer=advance)
        with progress_bar(console, "the sidecar's order", count) as advance:
            rescored = await run_queries(sidecar, proxy_url, bodies, on_answer=advance)
    return direct, rescored
