"""What a search does with the default search pipeline of its indexes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sidecar.config.upstream_values import PipelineUse
from sidecar.metrics import Metrics
from sidecar.opensearch.answer_rescoring import SearchContext
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.default_pipelines import DefaultPipelines
from sidecar.opensearch.search import read_search, search_and_rescore
from sidecar.relay.front import Answer, Forward, Response
from tests.sidecar.opensearch.test_default_pipelines import settings
from tests.sidecar.opensearch.test_search import (
    MATCH,
    Scripted,
    answer_body,
    request_for,
    response,
    search,
)

SEARCH = {"query": MATCH, "size": 2}
FOUND = response(answer_body({"body": "a"}, {"body": "b"}, {"body": "c"}))


class Cluster:
    """Says which pipeline it is before a search, or while it answers one (`late`)."""

    def __init__(self, pipeline: str, late: bool = False) -> None:
        self._pipeline = pipeline
        self._searched = asyncio.Event()
        if not late:
            self._searched.set()
        self.searches: list[bytes] = []

    async def exchange(self, head: bytes, body: bytes = b"", *, limit: int) -> Response:
        if b"/_settings/" in head:
            await self._searched.wait()
            return settings(i=self._pipeline)
        self.searches.append(head)
        self._searched.set()
        for _ in range(5):  # the question is answered first
            await asyncio.sleep(0)
        return FOUND


def context(cluster: Cluster, wait_s: float) -> SearchContext:
    defaults = DefaultPipelines(Callers(), Metrics(), wait_s=wait_s)
    pipelines: dict[str, PipelineUse] = {"keeps": "keeps_order", "ranks": "reranks"}
    return replace(
        search(Scripted()), upstream=cluster, default_pipelines=defaults, pipelines=pipelines
    )


@pytest.mark.parametrize(
    ("pipeline", "header"),
    [
        ("ranks", b"X-Rescore: skipped; reason=search_pipeline; plan=own"),
        (
            "other",
            b"X-Rescore: skipped; reason=search_pipeline; plan=own; key=upstream.pipelines.other",
        ),
    ],
)
@pytest.mark.parametrize("late", [False, True])
async def test_a_default_that_is_not_allowed_leaves_the_search_alone(
    pipeline: str, header: bytes, late: bool
) -> None:
    cluster = Cluster(pipeline, late)
    own = context(cluster, 0.0 if late else 30.0)
    reply, outcome = await search_and_rescore(request_for(SEARCH), own)
    assert reply == Forward((header,))
    assert outcome.reason == "search_pipeline"
    # If the answer is late, the widened search has been sent, and is thrown away.
    assert len(cluster.searches) == late
    # The next search knows it.
    await search_and_rescore(request_for(SEARCH), own)
    assert len(cluster.searches) == late


@pytest.mark.parametrize(
    ("pipeline", "late", "in_two_steps"),
    [("_none", False, True), ("keeps", False, False), ("keeps", True, False)],
)
async def test_a_search_with_a_default_is_made_in_one_step(
    pipeline: str, late: bool, in_two_steps: bool
) -> None:
    """The second step of two fetches the `_source` without the pipeline, which may change it."""
    cluster = Cluster(pipeline, late)
    own = context(cluster, 0.0 if late else 30.0)
    request = request_for(SEARCH)
    keys = own.lessons.keys(request.head, await read_search(request, own))
    own.lessons.learn_spare_bytes(keys, 1e9)  # large documents
    reply, outcome = await search_and_rescore(request, own)
    assert isinstance(reply, Answer)
    assert outcome.status == "applied"
    assert (b"_source_includes" in cluster.searches[0]) is in_two_steps
