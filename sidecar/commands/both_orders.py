"""Runs every query against both: OpenSearch alone, and the sidecar in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sidecar.commands.in_process import open_session
from sidecar.config.main_file import Upstream
from sidecar.evaluation.searching import RankedAnswer, run_queries, warm_up
from sidecar.screen import progress_bar

Run = Mapping[str, RankedAnswer]


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
    """Both runs, one search at a time, so that their times can be compared.

    Before that, the sidecar at the URL `proxy` is warmed up: each query is searched until it is
    rescored in full. `plan_header` and `warm_up_header` name the plans for measuring and for
    warming up; None leaves the choice to the routes. Raises SearchFailed.
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
