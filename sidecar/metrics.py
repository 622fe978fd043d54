"""Every metric the sidecar exports: name, help, labels, buckets. Nothing else creates one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

MILLISECONDS = tuple(
    ms / 1000 for ms in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
)


class TalliedCounter(Counter):
    """A counter of what happens too often to be counted here each time.

    `bring_up_to_date` is called before the counter is read, and adds what is missing.
    """

    bring_up_to_date: Callable[[], None] | None = None

    def collect(self) -> Iterable[Metric]:
        """The counter's samples; see Counter."""
        if self.bring_up_to_date is not None:
            self.bring_up_to_date()
        return super().collect()


class Metrics:
    """One registry and its metrics; each application owns one, so tests never share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

        self.searches = Counter(
            "rescore_searches",
            "Searches of a routed index, by plan, status and reason (as in X-Rescore).",
            ("plan", "status", "reason"),
            registry=self.registry,
        )
        self.rescore_seconds = Histogram(
            "rescore_seconds",
            "Time that rescoring added to a search, after OpenSearch's answer.",
            ("plan",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.hits_scored = Counter(
            "rescore_hits_scored",
            "Hits that got a score by the models.",
            ("plan",),
            registry=self.registry,
        )
        self.model_seconds = Histogram(
            "rescore_model_seconds",
            "Time of one chunk of texts in a model.",
            ("model",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.model_texts = Counter(
            "rescore_model_texts",
            "Texts read by a model.",
            ("model",),
            registry=self.registry,
        )
        self.model_queue = Gauge(
            "rescore_model_queue",
            "Searches that wait for a model or are in it.",
            ("model",),
            registry=self.registry,
        )
        self.passage_lookups = Counter(
            "rescore_passage_lookups",
            "Passages whose vector was asked for: result is hit or miss.",
            ("model", "result"),
            registry=self.registry,
        )
        self.passages_stored = Gauge(
            "rescore_passages_stored",
            "Passage vectors kept.",
            ("model",),
            registry=self.registry,
        )
        self.window_lookups = Counter(
            "rescore_window_lookups",
            "Searches for a further page: hit when it was cut from a window that was kept.",
            ("result",),
            registry=self.registry,
        )
        self.window_bytes = Gauge(
            "rescore_window_bytes",
            "Memory of the rescored windows that are kept for further pages, about.",
            registry=self.registry,
        )
        self.client_connections = Gauge(
            "relay_client_connections",
            "Open connections of applications.",
            registry=self.registry,
        )
        self.upstream_connections = Gauge(
            "relay_upstream_connections",
            "Open connections to OpenSearch, by state: busy or idle.",
            ("state",),
            registry=self.registry,
        )
        self.requests = TalliedCounter(
            "relay_requests",
            "Requests relayed, by the class of the answer's status: 2xx to 5xx.",
            ("status",),
            registry=self.registry,
        )
        self.relay_errors = Counter(
            "relay_errors",
            "Requests that ended without OpenSearch's whole answer, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.sniffs = Counter(
            "relay_sniffs",
            "Requests for the nodes' addresses; a client that uses them bypasses the proxy.",
            registry=self.registry,
        )
        self.upstream_up = Gauge(
            "relay_upstream_up",
            "1 for a node that is used, 0 for one that is left out.",
            ("url",),
            registry=self.registry,
        )
        self.api_requests = Counter(
            "rescore_api_requests",
            "Requests of a rerank API, by the name of the caller's key and outcome: ok or a cause.",
            ("api", "key", "outcome"),
            registry=self.registry,
        )
        self.api_documents = Counter(
            "rescore_api_documents",
            "Documents that a rerank API scored.",
            ("api", "key"),
            registry=self.registry,
        )
        self.api_tokens = Counter(
            "rescore_api_tokens",
            "Tokens of queries and documents that a rerank API scored, as its usage counts them.",
            ("api", "key"),
            registry=self.registry,
        )
        self.kendra_ranking_calls = Counter(
            "rescore_kendra_ranking_calls",
            "Calls of the Kendra Intelligent Ranking API: wire is json, cbor or rest, outcome is "
            "ok or an error's name.",
            ("operation", "wire", "outcome"),
            registry=self.registry,
        )
        self.kendra_ranking_seconds = Histogram(
            "rescore_kendra_ranking_seconds",
            "Time of a call of the Kendra Intelligent Ranking API, from its head to its answer.",
            ("operation",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.kendra_calls = Counter(
            "rescore_kendra_calls",
            "Calls of the Kendra API: outcome is ok or an error's name.",
            ("operation", "outcome"),
            registry=self.registry,
        )
        self.kendra_seconds = Histogram(
            "rescore_kendra_seconds",
            "Time of a call of the Kendra API, from its head to its answer.",
            ("operation",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.kendra_orders = Counter(
            "rescore_kendra_orders",
            "Orders of documents in answers of the Kendra API: reason is ok, or why the models had "
            "no say in all of it.",
            ("operation", "reason"),
            registry=self.registry,
        )
