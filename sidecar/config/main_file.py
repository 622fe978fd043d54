"""What the main configuration file may contain; plans are in `pipelines/plan.py`.

`config_reading/` reads the YAML, checks it against these types and reports every mistake with
its line. Nothing here touches the disk.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from pipelines.plan import Plan
from pipelines.strict import Strict
from sidecar.config.addresses import Address as Address
from sidecar.config.addresses import ListenAddress, PublishAddress
from sidecar.config.addresses import read_address as read_address
from sidecar.config.adoption import ShadowLogSettings, Ubi
from sidecar.config.kendra import Kendra
from sidecar.config.kendra_ranking import KendraRanking
from sidecar.config.limits import Limits
from sidecar.config.logs import LogSettings
from sidecar.config.models import Model as Model
from sidecar.config.page import Ui
from sidecar.config.passage_store import PassageStoreSettings
from sidecar.config.ray import RayServing
from sidecar.config.rerank import RerankApis
from sidecar.config.resigning import Resign
from sidecar.config.routes import Route
from sidecar.config.upstream_values import PipelineName, PipelineUse, Url

# Headers and metric labels contain names unchanged.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


class UpstreamTls(Strict):
    ca_file: str | None = None
    """PEM file with the certificate authority that signed the nodes' certificates."""

    verify: bool = True
    """`false` accepts any certificate; only for trying out."""


class ListenTls(Strict):
    certificate_file: str = Field(min_length=1)
    """PEM file with the certificate, then its chain; relative to this file."""

    key_file: str = Field(min_length=1)
    """PEM file with its key, without a password; relative to this file."""


class Upstream(Strict):
    urls: tuple[Url, ...] = Field(min_length=1)
    """The OpenSearch nodes; requests alternate between them, and a node that is down gets none
    for a while."""

    tls: UpstreamTls = UpstreamTls()
    """How https nodes are verified."""

    username: str | None = None
    """Account for the sidecar's own calls (`check --upstream`, readiness), never for a client's."""

    password: str | None = Field(default=None, repr=False)
    """Its password; write `${NAME}` and set NAME in the environment."""

    connect_timeout_ms: int = Field(default=5000, ge=1, le=600_000)
    """Milliseconds to wait for a connection to a node."""

    read_timeout_ms: int = Field(default=0, ge=0, le=86_400_000)
    """Milliseconds without a byte after which the sidecar gives up an answer, with 504
    `upstream_timeout` if none has begun. 0: never, because a search may take long."""

    idle_timeout_ms: int = Field(default=50_000, ge=0, le=86_400_000)
    """Milliseconds after which an unused connection to a node is closed; 0: never. Set it below the
    limit of a load balancer or firewall in front of the nodes (60 s is common)."""

    pipelines: dict[PipelineName, PipelineUse] = Field(default={})
    """What the cluster's search pipelines do, by name. Searches that name one in `search_pipeline`
    are rescored if it `keeps_order` (changes neither the number nor the order of hits) or
    `normalises` (also joins the scores of a `hybrid` query). If it `reranks`, or is not listed,
    they are not. `check --upstream` proposes the lines."""

    forwarded_for: bool = False
    """`true` appends the client's address to `X-Forwarded-For` for the nodes, except in a request
    with an AWS signature, which may cover that field."""

    resign: Resign | None = None
    """For Amazon OpenSearch, whose requests are signed: the sidecar verifies each client's
    signature, and signs every request anew with its own credentials. OpenSearch then sees one
    caller, the sidecar. If omitted, signed requests are forwarded unchanged and not rescored."""

    @model_validator(mode="after")
    def _whole_account(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together; one of them is missing")
        if self.resign is not None and self.username is not None:
            raise ValueError("resign signs the sidecar's own calls too, so username has no use")
        if self.resign is not None and len(self.urls) > 1:
            raise ValueError("resign signs for one endpoint, so write one URL")
        return self


class Apis(Strict):
    rerank: RerankApis | None = RerankApis()
    """Cohere, Jina, Voyage, TEI, Infinity and Tencent Cloud's RunRerank; null: not served."""

    kendra_ranking: KendraRanking | None = KendraRanking()
    """Amazon Kendra Intelligent Ranking; null: not served."""

    kendra: Kendra | None = None
    """Amazon Kendra's Query and Retrieve over OpenSearch; not served if omitted."""

    def asks_for(self, name: str) -> bool:
        """Whether the main file itself has a section of this name."""
        return name in self.model_fields_set


class MainFile(Strict):
    """The main file's own keys; see `Config` for it and its plans together."""

    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that share the two addresses, so that all cores of a host work; `auto`: one for
    each core. The cores are shared out to them for the models."""

    listen: ListenAddress = Address("127.0.0.1", 9201)
    """Address of the proxy: applications connect here instead of to OpenSearch."""

    listen_tls: ListenTls | None = None
    """Certificate for https between applications and the proxy; plain http if omitted."""

    idle_timeout_ms: int = Field(default=0, ge=0, le=86_400_000)
    """Milliseconds after which an application's unused connection is closed; 0: never, as in
    OpenSearch. Set it above the idle time of the applications' connection pools."""

    rewrite_publish_address: PublishAddress = None
    """`HOST:PORT` that the proxy reports as the address of every node, so that clients that sniff
    stay on the proxy. If omitted, OpenSearch's answer is unchanged."""

    api_listen: ListenAddress = Address("127.0.0.1", 9280)
    """Address of the api listener: health, metrics and the services of `apis`."""

    api_tls: ListenTls | None = None
    """Certificate for https to the api listener; plain http if omitted."""

    reload: Literal["signal", "watch"] = "signal"
    """When the configuration is read again. `signal`: at SIGHUP. `watch`: also when one of its
    files changes."""

    ui: Ui = Ui()
    """The page at `/ui` on the api listener, for comparing, understanding and tuning."""

    limits: Limits = Limits()
    """Bounds for what clients may send."""

    log: LogSettings = LogSettings()
    """The log on standard error."""

    upstream: Upstream
    """The OpenSearch behind the sidecar."""

    models: dict[Name, Model] = Field(default={})
    """Models by name; all are loaded at start."""

    plans_folder: str = "plans"
    """Folder with the plan files, relative to this file."""

    routes: tuple[Route, ...] = ()
    """Which index gets which plan; the first match wins."""

    apis: Apis = Apis()
    """The services of the api listener. Services without credentials are served only on loopback.
    Services that are not mentioned here are served with their defaults, where that is possible."""

    ray: RayServing | None = None
    """How `python -m sidecar.ray` serves the models above on Ray Serve; the defaults if omitted.
    `sidecar serve` does not read it."""

    kendra_plugin_settings_file: str | None = Field(default=None, min_length=1)
    """File, relative to this file, that stores the Kendra plugin's index settings, because a
    cluster without the plugin refuses them; created with the first setting. If omitted,
    requests with such settings are forwarded unchanged."""

    shadow_log: ShadowLogSettings | None = None
    """A file that describes each search of plans with `mode: shadow`; none if omitted."""

    ubi: Ubi | None = None
    """Writes the queries of searches with `ext.ubi` to OpenSearch's User Behavior Insights, with
    the account in `upstream`; off if omitted."""

    passage_store: PassageStoreSettings = PassageStoreSettings()
    """Where the passage vectors of bi-encoders are stored."""

    window_cache_s: float = Field(default=5.0, ge=0, le=300, allow_inf_nan=False)
    """Seconds for which a rescored window is cached for the same caller's further pages, which then
    need no request to OpenSearch; a first page always needs one. Until it expires, later pages may
    still show hits that have since been deleted or are no longer permitted. 0: no caching."""

    window_order_s: float = Field(default=300.0, ge=0, le=86_400, allow_inf_nan=False)
    """Seconds for which the order of a rescored window is cached for the same caller's further
    pages; their hits come from OpenSearch, without a model. 0: without a cached window, each
    page is rescored again, and may repeat or lose hits of the pages before it."""

    window_cache_mb: int = Field(default=32, ge=1, le=100_000)
    """Memory for cached windows, in MiB, and a quarter of it for cached orders; the least recently
    used entries are dropped first."""

    split_documents_mb: int = Field(default=64, ge=1, le=1_000_000)
    """Memory for documents that have been cut into passages, in MiB, so that a search neither
    parses nor cuts them again; the least recently used documents are dropped first. A quarter of
    it is for their sources."""

    @model_validator(mode="after")
    def _workers_share_their_state(self) -> Self:
        if self.workers != 1 and self.kendra_plugin_settings_file is not None:
            raise ValueError(
                "workers: each worker would have its own settings of the Kendra plugin; with"
                " kendra_plugin_settings_file, leave workers out"
            )
        return self


class Config(NamedTuple):
    """A whole, checked configuration: the main file, the plans by name, and what to change in them.

    `warnings` has one line for each key with an old name: `file:line: path: message`.
    """

    main: MainFile
    plans: dict[str, Plan]
    warnings: tuple[str, ...] = ()


def default_plan(plans: Collection[str]) -> str | None:
    """The plan where the configuration names none: `fused`, else the first by name."""
    return "fused" if "fused" in plans else min(plans, default=None)


def find_bi_encoders(models: Mapping[str, Model]) -> frozenset[str]:
    """The names of the models that give vectors: bi-encoders and static models."""
    return frozenset(name for name, model in models.items() if model.kind != "cross-encoder")


def find_students(plans: Mapping[str, Plan]) -> frozenset[str]:
    """The names of the models whose students a plan uses."""
    return frozenset(
        stage.model
        for plan in plans.values()
        if plan.student == "auto" and plan.fusion.method == "additive"
        for stage in plan.stages
    )
