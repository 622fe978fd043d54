"""The door of the rerank APIs: one reranker and one usage file for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from aiohttp import web

from pipelines.plan import Plan
from sidecar.api.doors import DoorError, DoorParts, KeptParts, LoadedModels, served_section
from sidecar.api.request_body import BodyReader
from sidecar.api.root_service import RootService
from sidecar.config.main_file import find_bi_encoders
from sidecar.config.rerank import RerankApis
from sidecar.document_scoring import DocumentScoring
from sidecar.metrics import Metrics
from sidecar.rerank.bearer_gate import BearerGate
from sidecar.rerank.bearer_paths import BearerPaths
from sidecar.rerank.embedder import build_embedder
from sidecar.rerank.embedding_paths import EmbeddingPaths
from sidecar.rerank.info_paths import InfoPaths, ServedModels
from sidecar.rerank.reranker import build_reranker
from sidecar.rerank.score_paths import ScorePaths
from sidecar.rerank.tencent_service import TencentService
from sidecar.rerank.usage import Usage, UsageFileError


class RerankDoor:
    """The rerank APIs that are configured."""

    def __init__(
        self,
        settings: RerankApis,
        plans: Mapping[str, Plan],
        cosine_models: frozenset[str],
        scoring: DocumentScoring,
        models: Callable[[], LoadedModels | None],
        metrics: Metrics,
        folder: Path,
        bodies: BodyReader,
        kept: KeptParts | None = None,
    ) -> None:
        """`cosine_models`: names of the bi-encoders. `folder`: the main file's.

        Raises ValueError if the settings name a plan or a bi-encoder that does not exist.
        """
        reranker = build_reranker(settings, plans, cosine_models, scoring)
        embedder = build_embedder(settings, reranker.plan, cosine_models, models)
        file = folder / settings.usage_file if settings.usage_file else None
        self._usage = (kept or KeptParts()).get(Usage, file, lambda: Usage(metrics, file))
        self._opened = AsyncExitStack()
        self._bearer: tuple[BearerPaths | ScorePaths | EmbeddingPaths | InfoPaths, ...] = ()
        self._tencent: TencentService | None = None
        if settings.bearer is not None:
            gate = BearerGate(
                settings.bearer,
                self._usage,
                bodies,
                max_body_bytes=settings.max_body_bytes,
                requests_per_second=settings.requests_per_second,
            )
            served = ServedModels(
                reranker=reranker.plan_name,
                embedders=sorted(embedder.names) if embedder else (),
                max_documents=settings.max_documents,
                max_tokens=settings.max_tokens,
                version=version("rescore-sidecar"),
                started=int(time.time()),
                are_loaded=lambda: models() is not None,
            )
            self._bearer = (
                BearerPaths(gate, reranker, max_documents=settings.max_documents),
                ScorePaths(gate, reranker, max_documents=settings.max_documents),
                *((EmbeddingPaths(gate, embedder),) if embedder else ()),
                InfoPaths(gate, served),
            )
        if settings.tencent is not None:
            self._tencent = TencentService(
                settings.tencent,
                reranker,
                self._usage,
                bodies,
                max_body_bytes=settings.max_body_bytes,
                requests_per_second=settings.requests_per_second,
            )

    async def start(self) -> None:
        """Read the usage file; from now on it is written. Raises DoorError."""
        try:
            await self._opened.enter_async_context(self._usage.saved())
        except UsageFileError as error:
            raise DoorError(f"apis.rerank.usage_file: {error}") from None

    def routes(self) -> Sequence[web.RouteDef]:
        """The paths with bearer keys."""
        return [route for paths in self._bearer for route in paths.routes()]

    def root_services(self) -> Sequence[RootService]:
        """Tencent's RunRerank."""
        return () if self._tencent is None else (self._tencent.service(),)

    async def close(self) -> None:
        """Write the usage file for the last time."""
        await self._opened.aclose()


def build_rerank_door(parts: DoorParts) -> RerankDoor | None:
    """The door, or None if it is not served."""
    config = parts.config
    settings = served_section(config, "rerank", config.main.apis.rerank)
    if settings is None:
        return None
    return RerankDoor(
        settings,
        config.plans,
        find_bi_encoders(config.main.models),
        parts.scoring,
        parts.models,
        parts.metrics,
        parts.folder,
        parts.bodies,
        parts.kept,
    )
