"""What a generation needs for shadows, steps back, and User Behavior Insights."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.adoption.shadow_limits import ShadowAdmission
from sidecar.adoption.shadow_log import ShadowLog
from sidecar.adoption.step_back import StepBacks
from sidecar.adoption.ubi_queries import UbiQueries
from sidecar.config.main_file import Config
from sidecar.metrics import Metrics
from sidecar.opensearch.callers import Callers
from sidecar.opensearch.index_lessons import IndexLessons
from sidecar.opensearch.shadow_search import ShadowSearches

_FINISH_S: Final = 10.0
"""How long shadows and queries of a former configuration may take to end."""

_LAST_S: Final = 2.0  # for the queries that wait when the sidecar stops


@dataclass(frozen=True, slots=True)
class AdoptionParts:
    """`shadows` and `ubi_queries` are None if the configuration does not ask for them.

    Generations with the same settings share `ubi_queries`, so a reload loses no waiting query.
    """

    shadows: ShadowSearches | None
    ubi_queries: UbiQueries | None
    step_backs: StepBacks

    async def retire(self, others: Iterable[AdoptionParts]) -> None:
        """Let the shadows end and write the queries, after a reload; what one of `others` uses
        stays. Takes twenty seconds at most."""
        if self.shadows is not None:
            await self.shadows.finish(_FINISH_S)
        # `others` is read here, because it may change while the shadows end.
        shared = any(other.ubi_queries is self.ubi_queries for other in others)
        if self.ubi_queries is not None and not shared:
            await self.ubi_queries.close(_FINISH_S)

    async def drop_shadows(self) -> None:
        """End the shadows in flight, and begin no more."""
        if self.shadows is not None:
            await self.shadows.close()

    async def close(self) -> None:
        """End the shadows, and write the queries that wait; takes two seconds at most."""
        await self.drop_shadows()
        if self.ubi_queries is not None:
            await self.ubi_queries.close(_LAST_S)


def build_shadows(
    config: Config, folder: Path, callers: Callers, metrics: Metrics
) -> ShadowSearches | None:
    """The shadows of a configuration; `folder` is where its relative paths start."""
    plans = {name: plan for name, plan in config.plans.items() if plan.mode == "shadow"}
    if not plans:
        return None
    settings = config.main.shadow_log
    log = None
    if settings is not None:
        log = ShadowLog(folder / settings.log_file, settings.max_mb << 20, metrics)
    admission = ShadowAdmission(plans, time.monotonic, random.random)
    lessons = IndexLessons(callers, metrics, of="shadows")
    return ShadowSearches(admission, metrics, lessons, log, bool(settings and settings.query_text))
