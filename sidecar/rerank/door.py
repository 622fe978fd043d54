"""Builds the door: one reranker and one usage book, and the two ways into an application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from pipelines.plan import Plan
from sidecar.config_rerank import RerankApis
from sidecar.document_scoring import DocumentScoring
from sidecar.metrics import Metrics
from sidecar.rerank.bearer_paths import BearerPaths
from sidecar.rerank.reranker import build_reranker
from sidecar.rerank.tencent_service import TencentService
from sidecar.rerank.usage import Usage
from sidecar.root_service import RootService


@dataclass(frozen=True, slots=True)
class RerankDoor:
    """The rerank APIs that are configured."""

    usage: Usage
    bearer: BearerPaths | None
    tencent: TencentService | None


def build_rerank_door(
    settings: RerankApis,
    plans: Mapping[str, Plan],
    bi_encoders: frozenset[str],
    scoring: DocumentScoring,
    metrics: Metrics,
    folder: Path,
) -> RerankDoor:
    """Build the door. `bi_encoders` names the models of that kind, `folder` is the main file's.

    Raises ValueError when the settings name a plan that is not there.
    """
    reranker = build_reranker(settings, plans, bi_encoders, scoring)
    usage = Usage(metrics, folder / settings.usage if settings.usage else None)
    bearer = tencent = None
    if settings.bearer is not None:
        bearer = BearerPaths(
            settings.bearer,
            reranker,
            usage,
            max_documents=settings.max_documents,
            max_body_bytes=settings.max_body_bytes,
            requests_per_second=settings.requests_per_second,
        )
    if settings.tencent is not None:
        tencent = TencentService(
            settings.tencent,
            reranker,
            usage,
            max_body_bytes=settings.max_body_bytes,
            requests_per_second=settings.requests_per_second,
        )
    return RerankDoor(usage, bearer, tencent)


def add_rerank_routes(app: web.Application, door: RerankDoor) -> None:
    """Add the bearer paths, and keep the usage file from the application's start to its end."""

    async def keep_usage(_: web.Application) -> AsyncIterator[None]:
        async with door.usage.kept():
            yield

    app.cleanup_ctx.append(keep_usage)
    if door.bearer is not None:
        door.bearer.add_routes(app)


def rerank_root_services(door: RerankDoor) -> list[RootService]:
    """The services that answer at `/`."""
    return [door.tencent.service()] if door.tencent is not None else []
