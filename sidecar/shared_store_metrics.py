"""The metrics of a passage store that several sidecars share; see `models/shared_store/`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class SharedStoreMetrics:
    """They show a model from the moment it has a shared store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.passages = Counter(
            "rescore_shared_store_passages",
            "Passages that the shared store was asked for: result is hit, miss, or wrong (a value "
            "that does not pass its check, which is not used).",
            ("model", "result"),
            registry=registry,
        )
        self.requests = Counter(
            "rescore_shared_store_requests",
            "Questions of searches to the shared store: outcome is in_time, late (the search went "
            "on without the answer), failed, or not_sent (after failures, or too many at once).",
            ("model", "outcome"),
            registry=registry,
        )
        self.writes = Counter(
            "rescore_shared_store_writes",
            "Vectors for the shared store: outcome is written, present (another sidecar was "
            "first), dropped (too many wait), refused (the server is full), or failed.",
            ("model", "outcome"),
            registry=registry,
        )
        self.stopped = Gauge(
            "rescore_shared_store_stopped",
            "1 while the shared store gets no calls because calls have failed.",
            ("model",),
            registry=registry,
        )
