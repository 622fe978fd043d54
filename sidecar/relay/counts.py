"""The relay's metrics. Their labels are resolved once, so that counting a request costs little."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from sidecar.metrics import Metrics

ERROR_REASONS: Final = (
    "bad_request",
    "client_gone",
    "client_timeout",
    "front",
    "out_of_descriptors",
    "too_many_connections",
    "unverified_client",
    "upstream_broken",
    "upstream_timeout",
    "upstream_unavailable",
)


class Counts:
    """What the relay counts; gauges compute their value only when Prometheus reads them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._answered = [0] * 10
        metrics.requests.bring_up_to_date = self._add_answered
        self._statuses = [metrics.requests.labels(f"{hundreds}xx") for hundreds in range(1, 6)]
        self._errors = {reason: metrics.relay_errors.labels(reason) for reason in ERROR_REASONS}

    def answered(self, status: int) -> None:
        """Count an answer by its status, from 100 to 999."""
        self._answered[status // 100] += 1

    def forwarded(self, seconds: float) -> None:
        """Count the time of a request whose whole answer came from OpenSearch."""
        self._metrics.relay_seconds.observe("forwarded", seconds)

    def answered_here(self, seconds: float) -> None:
        """Count the time of a request that the front has answered."""
        self._metrics.relay_seconds.observe("answered", seconds)

    def failed(self, reason: str) -> None:
        """Count a request that ended without OpenSearch's whole answer."""
        self._errors[reason].inc()

    def watch_clients(self, count: Callable[[], int]) -> None:
        """Show the number of open client connections."""
        self._metrics.client_connections.set_function(count)

    def watch_upstream(self, busy: Callable[[], int], idle: Callable[[], int]) -> None:
        """Show the number of open upstream connections, busy and idle."""
        self._metrics.upstream_connections.labels("busy").set_function(busy)
        self._metrics.upstream_connections.labels("idle").set_function(idle)

    def node_up(self, url: str, up: bool) -> None:
        """Show whether a node gets requests."""
        self._metrics.upstream_up.labels(url).set(up)

    def node_removed(self, url: str) -> None:
        """Show a node no longer, because the configuration does not name it any more."""
        with contextlib.suppress(KeyError):
            self._metrics.upstream_up.remove(url)

    def _add_answered(self) -> None:
        for hundreds, count in enumerate(self._answered):
            if count:
                self._statuses[min(hundreds, 5) - 1].inc(count)
                self._answered[hundreds] = 0
