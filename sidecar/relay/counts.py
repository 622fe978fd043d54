"""The relay's metrics, bound once: counting must cost nothing per request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.metrics import Metrics

ERROR_REASONS: Final = (
    "bad_request",
    "client_gone",
    "front",
    "upstream_broken",
    "upstream_timeout",
    "upstream_unavailable",
)


class Counts:
    """What the relay counts; gauges are asked for their value only when they are read."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._answered = [0] * 10
        metrics.requests.bring_up_to_date = self._tell_answered
        self._statuses = [metrics.requests.labels(f"{hundreds}xx") for hundreds in range(1, 6)]
        self._errors = {reason: metrics.relay_errors.labels(reason) for reason in ERROR_REASONS}

    def answered(self, status: int) -> None:
        """Count an answer by its status, from 100 to 999."""
        self._answered[status // 100] += 1

    def failed(self, reason: str) -> None:
        """Count a request that ended without OpenSearch's whole answer."""
        self._errors[reason].inc()

    def watch_clients(self, count: Callable[[], int]) -> None:
        """Show the number of open client connections."""
        self._metrics.client_connections.set_function(count)

    def watch_upstream(self, busy: Callable[[], int], idle: Callable[[], int]) -> None:
        """Show the number of open upstream connections."""
        self._metrics.upstream_connections.labels("busy").set_function(busy)
        self._metrics.upstream_connections.labels("idle").set_function(idle)

    def node_up(self, url: str, up: bool) -> None:
        """Show whether a node is used."""
        self._metrics.upstream_up.labels(url).set(up)

    def _tell_answered(self) -> None:
        for hundreds, count in enumerate(self._answered):
            if count:
                self._statuses[min(hundreds, 5) - 1].inc(count)
                self._answered[hundreds] = 0
