"""Every metric that the sidecar exports: name, help, labels, buckets. No other file creates one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from sidecar.shared_store_metrics import SharedStoreMetrics
from sidecar.tallied_metrics import TalliedCounter, TalliedHistogram

MILLISECONDS = tuple(
    ms / 1000 for ms in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
)
LATENCIES = (*MILLISECONDS, 10.0, 30.0, 60.0)
STEPS = (
    *("upstream", "read", "text_fetch", "prepare", "estimate", "model", "queue", "compute"),
    *("fuse", "splice", "default_pipeline"),
)
SHARES = tuple(tenths / 10 for tenths in range(11))
STALLS = tuple(ms / 1000 for ms in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000))


class Metrics:
    """One registry and its metrics; each application has its own, so tests never share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

        self.searches = Counter(
            "rescore_searches",
            "Searches of indexes with a route, by plan, status and reason (as in X-Rescore).",
            ("plan", "status", "reason"),
            registry=self.registry,
        )
        self.rescore_seconds = Histogram(
            "rescore_seconds",
            "Time that the sidecar adds to a rescored search, without OpenSearch's own.",
            ("plan",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.step_seconds = TalliedHistogram(
            "rescore_step_seconds",
            "Time that a search spends in a step, by step: upstream (exchanges with OpenSearch), "
            "read, text_fetch, prepare (cut and choose passages), estimate (of a student), model, "
            "queue and compute (both within model, or while OpenSearch searches), fuse, splice, "
            "default_pipeline (wait for OpenSearch to name it).",
            "step",
            STEPS,
            MILLISECONDS,
            self.registry,
        )
        self.hits_scored = Counter(
            "rescore_hits_scored",
            "Hits that a model scored.",
            ("plan",),
            registry=self.registry,
        )
        self.model_seconds = Histogram(
            "rescore_model_seconds",
            "Time in which a model read one chunk of texts.",
            ("model",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.model_texts = Counter(
            "rescore_model_texts",
            "Texts that a model read.",
            ("model",),
            registry=self.registry,
        )
        self.model_queue = Gauge(
            "rescore_model_queue",
            "Searches that wait for a model or that it is working on.",
            ("model",),
            registry=self.registry,
        )
        self.passage_lookups = Counter(
            "rescore_passage_lookups",
            "Passages whose vector was looked up in the passage store: result is hit or miss.",
            ("model", "result"),
            registry=self.registry,
        )
        self.shared_store = SharedStoreMetrics(self.registry)
        self.passages_stored = Gauge(
            "rescore_passages_stored",
            "Passage vectors in the passage store.",
            ("model",),
            registry=self.registry,
        )
        self.remote_calls = Counter(
            "rescore_remote_calls",
            "Calls of the service behind a remote model, by outcome: ok, deadline, timeout, "
            "connection, status, busy (429 or 503), answer (wrong shape or numbers), other_model, "
            "or open (not sent, because the calls before it failed).",
            ("model", "outcome"),
            registry=self.registry,
        )
        self.student_estimates = Counter(
            "rescore_student_estimates",
            "Passages whose score a model's student estimated.",
            ("model",),
            registry=self.registry,
        )
        self.student_error = Gauge(
            "rescore_student_error",
            "Error of a student's estimates within a search, as a share of the spread of the "
            "model's scores: 0 is exact, and from 1 on estimates are not used.",
            ("model",),
            registry=self.registry,
        )
        self.student_lessons = Gauge(
            "rescore_student_lessons",
            "Passages that taught the student in use; 0 without a student.",
            ("model",),
            registry=self.registry,
        )
        self.student_taught = Gauge(
            "rescore_student_taught_timestamp_seconds",
            "When the student in use was taught, in seconds since 1970; 0 without a student.",
            ("model",),
            registry=self.registry,
        )
        self.student_teachings = Counter(
            "rescore_student_teachings",
            "Teachings of a student by result: better (it is used), no_better, or failed.",
            ("model", "result"),
            registry=self.registry,
        )
        self.window_lookups = Counter(
            "rescore_window_lookups",
            "Searches for a further page, by result of the lookup in the window cache: hit (the "
            "page was cut from a cached window), order (only the order was cached, and OpenSearch "
            "was searched), or miss.",
            ("result",),
            registry=self.registry,
        )
        self.window_bytes = Gauge(
            "rescore_window_bytes",
            "Approximate memory of the cached windows and orders for further pages.",
            registry=self.registry,
        )
        self.stepped_back = Gauge(
            "rescore_stepped_back",
            "1 while a plan with a guard leaves the order to OpenSearch, else 0.",
            ("plan",),
            registry=self.registry,
        )
        self.step_backs = Counter(
            "rescore_step_backs",
            "How often a plan has stepped back, because its guard's limits were exceeded.",
            ("plan",),
            registry=self.registry,
        )
        self.shadows = Counter(
            "rescore_shadows",
            "Searches rescored in the shadow, by plan, status and reason (as in X-Rescore); status "
            "is dropped for those beyond a limit: share, rate or concurrency.",
            ("plan", "status", "reason"),
            registry=self.registry,
        )
        self.shadow_overlap = Histogram(
            "rescore_shadow_overlap_at_10",
            "Share of the first 10 hits that OpenSearch's order and the shadow's both have there.",
            ("plan",),
            buckets=SHARES,
            registry=self.registry,
        )
        self.shadow_rank_biased_overlap = Histogram(
            "rescore_shadow_rank_biased_overlap",
            "Rank-biased overlap (p 0.9) of OpenSearch's order and the shadow's.",
            ("plan",),
            buckets=SHARES,
            registry=self.registry,
        )
        self.shadow_first_changed = Counter(
            "rescore_shadow_first_changed",
            "Shadows with another first hit than OpenSearch's order.",
            ("plan",),
            registry=self.registry,
        )
        self.shadow_seconds = Histogram(
            "rescore_shadow_seconds",
            "Time of a shadow, by step: search (the widened search) or rescore (from its answer to "
            "the new order).",
            ("plan", "step"),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.lines_not_logged = Counter(
            "rescore_shadow_lines_dropped",
            "Lines for the shadow log that were dropped: its file could not be written in time.",
            registry=self.registry,
        )
        self.ubi_queries = Counter(
            "rescore_ubi_queries",
            "Queries for User Behavior Insights by result: written, failed, or dropped because "
            "the queue was full or the sidecar stopped.",
            ("result",),
            registry=self.registry,
        )
        self.default_pipelines = Counter(
            "rescore_default_pipelines",
            "Questions for the default search pipeline of indexes, by answer: none, pipeline, "
            "refused (401, 403) or failed.",
            ("answer",),
            registry=self.registry,
        )
        self.index_lessons = Counter(
            "rescore_index_lessons",
            "What answers taught about an index, so that later searches avoid a failure: lesson is "
            "result_window, too_large, overload, refused or render_refused.",
            ("lesson",),
            registry=self.registry,
        )
        self.scoring_line = Gauge(
            "rescore_scoring_line",
            "Requests to Kendra Ranking and the rerank APIs that wait for a model or are in it.",
            registry=self.registry,
        )
        self.scoring_refused = Counter(
            "rescore_scoring_refused",
            "Requests to Kendra Ranking and the rerank APIs that could not be scored in time, by "
            "when they were refused: entry, or waiting (the models were slower than expected).",
            ("when",),
            registry=self.registry,
        )
        self.config_info = Gauge(
            "rescore_config_info",
            "1, with the digest of the configuration that new requests get.",
            ("digest",),
            registry=self.registry,
        )
        self.config_loaded = Gauge(
            "rescore_config_loaded_timestamp_seconds",
            "When this configuration was loaded, in seconds since 1970.",
            registry=self.registry,
        )
        self.config_reloads = Counter(
            "rescore_config_reloads",
            "Reloads of the configuration, by outcome: applied, unchanged, refused (there is a "
            "mistake, a model cannot be loaded, or a key needs a restart) or failed (a bug).",
            ("outcome",),
            registry=self.registry,
        )
        self.client_connections = Gauge(
            "relay_client_connections",
            "Open client connections of the proxy listener.",
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
            "Requests answered by the proxy listener, by class of the status: 1xx to 5xx.",
            ("status",),
            registry=self.registry,
        )
        self.relay_seconds = TalliedHistogram(
            "relay_seconds",
            "Time from a request's head to the end of its answer, by kind: forwarded to "
            "OpenSearch, or answered by the sidecar.",
            "kind",
            ("forwarded", "answered"),
            LATENCIES,
            self.registry,
        )
        self.relay_errors = Counter(
            "relay_errors",
            "Requests that ended without OpenSearch's whole answer, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.sniffs = Counter(
            "relay_sniffs",
            "Requests for the nodes' addresses; a client that uses these bypasses the sidecar.",
            registry=self.registry,
        )
        self.upstream_up = Gauge(
            "relay_upstream_up",
            "1 for a node that gets requests, 0 for one that is left out because it failed.",
            ("url",),
            registry=self.registry,
        )
        self.loop_stalls = Histogram(
            "loop_stall_seconds",
            "Times above 10 ms in which the event loop did not turn and every client waited: kind "
            "is computing (CPU time of the loop's thread) or waiting (for a blocking call, or for "
            "a thread that held the interpreter).",
            ("kind",),
            buckets=STALLS,
            registry=self.registry,
        )
        self.loop_tasks = Gauge(
            "loop_tasks",
            "Tasks of the event loop that have not ended.",
            registry=self.registry,
        )
        self.log_lines_dropped = Gauge(
            "log_lines_dropped",
            "Lines of the log that were dropped, because standard error did not accept them.",
            registry=self.registry,
        )
        self.trace_spans = Counter(
            "trace_spans",
            "Spans for the receiver of traces, by result: sent or lost.",
            ("result",),
            registry=self.registry,
        )
        self.api_requests = Counter(
            "rescore_api_requests",
            "Requests to a rerank API, by name of the client's key and by outcome: ok or a cause.",
            ("api", "key", "outcome"),
            registry=self.registry,
        )
        self.api_documents = Counter(
            "rescore_api_documents",
            "Documents scored for a rerank API.",
            ("api", "key"),
            registry=self.registry,
        )
        self.api_tokens = Counter(
            "rescore_api_tokens",
            "Tokens of queries and documents scored for a rerank API, counted as in its usage.",
            ("api", "key"),
            registry=self.registry,
        )
        self.api_connections = Gauge(
            "api_connections",
            "Open connections of the api listener.",
            registry=self.registry,
        )
        self.api_given_up = Counter(
            "api_given_up",
            "Requests to the api listener that were refused or cut off before they were whole, by "
            "reason: header_timeout, body_timeout, memory or connections.",
            ("reason",),
            registry=self.registry,
        )
        self.kendra_ranking_calls = Counter(
            "rescore_kendra_ranking_calls",
            "Calls to the Kendra Intelligent Ranking API: wire is json, cbor or rest; outcome is "
            "ok or an error's name.",
            ("operation", "wire", "outcome"),
            registry=self.registry,
        )
        self.kendra_ranking_seconds = Histogram(
            "rescore_kendra_ranking_seconds",
            "Time of a call to the Kendra Intelligent Ranking API, from its head to its answer.",
            ("operation",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.kendra_calls = Counter(
            "rescore_kendra_calls",
            "Calls to the Kendra API: outcome is ok or an error's name.",
            ("operation", "outcome"),
            registry=self.registry,
        )
        self.kendra_seconds = Histogram(
            "rescore_kendra_seconds",
            "Time of a call to the Kendra API, from its head to its answer.",
            ("operation",),
            buckets=MILLISECONDS,
            registry=self.registry,
        )
        self.kendra_orders = Counter(
            "rescore_kendra_orders",
            "Rankings of documents in answers of the Kendra API: reason is ok, or why the models "
            "did not score all of them.",
            ("operation", "reason"),
            registry=self.registry,
        )

    def forget_model(self, name: str) -> None:
        """Show a model's vectors and student no longer: the configuration does not name it."""
        _forget(self.passages_stored, name)
        self.forget_student(name)

    def forget_student(self, name: str) -> None:
        """Show a model's student no longer, because no plan uses it."""
        for gauge in (self.student_error, self.student_lessons, self.student_taught):
            _forget(gauge, name)


def _forget(gauge: Gauge, name: str) -> None:
    # A removed gauge refers to itself, and so would hold for long what its function refers to.
    gauge.labels(name).set_function(float)
    gauge.remove(name)
