"""What the relay asks of each request: is it a search of a routed index, and who answers it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.scoring import Scorer
from sidecar.config import Config
from sidecar.metrics import Metrics
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.routes import find_route
from sidecar.opensearch.search import Search, search_and_rescore
from sidecar.relay.front import Answer, Exchanger, Forward, Request, Take
from sidecar.relay.heads import RequestHead

_log = logging.getLogger("sidecar.search")


@dataclass(frozen=True, slots=True)
class SearchFront:
    """The front door for OpenSearch's own search API; a `relay.front.Front`.

    `scorer` gives the scorer for a deadline, or None while the models are being loaded.
    """

    config: Config
    upstream: Exchanger
    scorer: Callable[[], Callable[[float], Scorer] | None]
    metrics: Metrics

    def takes(self, head: RequestHead) -> Take | None:
        """Take the searches of routed indexes; all else passes through."""
        routed = find_route(head.method, head.target, self.config.main.routes)
        if routed is None:
            return None
        plan_name = routed.plan

        async def take(request: Request) -> Forward | Answer:
            answer, outcome = await self._answer(request, plan_name)
            self._count(outcome)
            return answer

        return take

    def too_large(self, head: RequestHead) -> Forward:
        """Let a search pass whose body is too large to be held."""
        routed = find_route(head.method, head.target, self.config.main.routes)
        assert routed is not None
        outcome = Outcome(routed.plan, "skipped", "body_too_large")
        self._count(outcome)
        return Forward((outcome.header(),))

    async def _answer(self, request: Request, plan_name: str) -> tuple[Forward | Answer, Outcome]:
        reason = None
        if (request.head.get(b"x-rescore") or b"").lower() == b"off":
            reason = "off"
        wanted = request.head.get(b"x-rescore-plan")
        if wanted is not None:
            name = wanted.decode("latin-1")
            if name in self.config.plans:
                plan_name = name
            else:
                reason = reason or "unknown_plan"
        plan = self.config.plans[plan_name]
        scorer = self.scorer()
        if not plan.enabled:
            reason = reason or "disabled"
        if scorer is None:
            reason = reason or "starting"
        if reason is not None or scorer is None:
            outcome = Outcome(plan_name, "skipped", reason)
            return Forward((outcome.header(),)), outcome
        return await search_and_rescore(request, Search(plan_name, plan, self.upstream, scorer))

    def _count(self, outcome: Outcome) -> None:
        self.metrics.searches.labels(outcome.plan, outcome.status, outcome.reason or "").inc()
        if outcome.scored:
            self.metrics.hits_scored.labels(outcome.plan).inc(outcome.scored)
            self.metrics.rescore_seconds.labels(outcome.plan).observe(outcome.ms / 1000)
        if outcome.status == "failed":
            _log.warning("plan %s: not rescored, reason %s", outcome.plan, outcome.reason)
        elif outcome.status == "skipped":
            _log.debug("plan %s: skipped, reason %s", outcome.plan, outcome.reason)
