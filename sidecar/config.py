"""What the main configuration file may say; plans are in `pipelines/plan.py`.

`config_files.py` reads the YAML, checks it against these types and reports every mistake with
its line. Nothing here touches the disk.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from pipelines.plan import Plan, Strict
from sidecar.config_kendra import Kendra
from sidecar.config_kendra_ranking import KendraRanking
from sidecar.config_rerank import RerankApis


class Address(NamedTuple):
    """A host and port to listen on; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def read_address(value: object) -> object:
    """Read `HOST:PORT` or `[IPv6]:PORT`; raises ValueError with the accepted form."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]\s]+)):(\d{1,5})", value)
    if not match or int(match[3]) > 65535:
        raise ValueError(f"write it as HOST:PORT, for example 127.0.0.1:9201 (not {value!r})")
    return Address(match[1] or match[2], int(match[3]))


def _read_publish_address(value: object) -> object:
    address = read_address(value)
    if isinstance(address, Address) and not address.port:
        raise ValueError("port 0 is no address that a client could connect to")
    return address


def _check_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write it as http://HOST:PORT or https://HOST:PORT")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong in the URL; use upstream.username and password")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("only scheme, host and port; a path cannot be put before OpenSearch's own")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port is not a number from 0 to 65535") from None
    return value.rstrip("/")


# Names go into headers and metric labels as they are.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
ListenAddress = Annotated[Address, BeforeValidator(read_address)]
PublishAddress = Annotated[Address | None, BeforeValidator(_read_publish_address)]
Url = Annotated[str, BeforeValidator(_check_url)]


class UpstreamTls(Strict):
    ca: str | None = None
    """File of the certificate authority (PEM) that signed the nodes' certificates."""

    verify: bool = True
    """`false` accepts any certificate: for trying out only."""


class ListenTls(Strict):
    certificate: str = Field(min_length=1)
    """PEM file, with the chain behind the certificate; seen from this file."""

    key: str = Field(min_length=1)
    """PEM file of its key, without a password."""


class Upstream(Strict):
    urls: tuple[Url, ...] = Field(min_length=1)
    """The OpenSearch nodes; requests go round, a node that is down is left out for a while."""

    tls: UpstreamTls = UpstreamTls()
    """How https nodes are verified."""

    username: str | None = None
    """Account of the sidecar's own calls (`check --upstream`, readiness), never of a client's."""

    password: str | None = Field(default=None, repr=False)
    """Its password; write `${NAME}` and set NAME in the environment."""

    connect_timeout_ms: int = Field(default=5000, ge=1, le=600_000)
    """Milliseconds to wait for a connection to a node."""

    read_timeout_ms: int = Field(default=0, ge=0, le=86_400_000)
    """Milliseconds of silence after which an answer is given up, with 504 `upstream_timeout` if
    none has begun; 0: never, as a search may take long."""

    idle_timeout_ms: int = Field(default=50_000, ge=0, le=86_400_000)
    """Milliseconds after which an unused connection to a node is closed; 0: never. Keep it below
    what a load balancer or firewall before the nodes allows (60 s is common)."""

    forwarded_for: bool = False
    """`true` tells the nodes the client's address in `X-Forwarded-For`, behind those that are
    there; never in a request with an AWS signature, which may cover that field."""

    @model_validator(mode="after")
    def _whole_account(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together; one of them is missing")
        return self


class Model(Strict):
    kind: Literal["bi-encoder", "cross-encoder"]
    """`bi-encoder`: reads query and passage each alone, so that passage vectors can be kept.
    `cross-encoder`: reads both together; finer and much slower."""

    source: str = Field(min_length=1)
    """A hub id, a folder (`./models/x`), or `package:NAME` for weights in a Python package."""

    backend: Literal["openvino", "onnx", "sentence-transformers", "fake"] = "openvino"
    """What runs the model. `openvino` and `onnx` prepare it once and then need no torch;
    `sentence-transformers` runs it as published, on a GPU too; `fake` has no model and counts
    shared words: for tests only."""

    precision: Literal["auto", "int8", "bf16", "f32"] = "auto"
    """Numbers that `openvino` computes with. `auto`: `int8` if the model then ranks as the
    original does, else `bf16`. Where `bf16` is not quicker than `f32`, it runs as `f32`."""

    threads: int | None = Field(default=None, ge=1, le=256)
    """Threads of `openvino` and `onnx`; when left out as many as there are cores, less one where
    there are more than two."""

    revision: str | None = None
    """Revision of a hub model: a tag or commit."""

    max_tokens: int | None = Field(default=None, ge=8, le=32_768)
    """Longest text in model tokens; the model's own limit when left out."""

    @model_validator(mode="after")
    def _settings_of_the_backend(self) -> Self:
        if self.precision != "auto" and self.backend != "openvino":
            raise ValueError(f"precision is for backend: openvino; {self.backend} has its own")
        if self.threads is not None and self.backend not in ("openvino", "onnx"):
            raise ValueError(f"threads is for backend: openvino or onnx, not {self.backend}")
        return self


class Route(Strict):
    index: str = Field(min_length=1)
    """Index or alias as clients spell it; `*` and `?` match as in a file name."""

    plan: str = Field(min_length=1)
    """Name of the plan that its searches get."""

    def matches(self, name: str) -> bool:
        """Whether one name of a client's index list belongs to this route."""
        return fnmatchcase(name, self.index)


class Apis(Strict):
    rerank: RerankApis | None = RerankApis()
    """Cohere, Jina, Voyage, TEI, Infinity and Tencent Cloud's RunRerank; null: not served."""

    kendra_ranking: KendraRanking | None = KendraRanking()
    """Amazon Kendra Intelligent Ranking; null: not served."""

    kendra: Kendra | None = None
    """Amazon Kendra's Query and Retrieve over OpenSearch; not served when left out."""

    def asks_for(self, name: str) -> bool:
        """Whether the main file has a section of this name, rather than its defaults."""
        return name in self.model_fields_set


class MainFile(Strict):
    """The main file's own keys; see `Config` for it and its plans together."""

    listen: ListenAddress = Address("127.0.0.1", 9201)
    """Where applications connect instead of OpenSearch."""

    listen_tls: ListenTls | None = None
    """Applications speak https to the proxy; plain http when left out."""

    idle_timeout_ms: int = Field(default=0, ge=0, le=86_400_000)
    """Milliseconds after which an application's unused connection is closed; 0: never, as in
    OpenSearch. Keep it above the idle time of the applications' own connection pools."""

    rewrite_publish_address: PublishAddress = None
    """`HOST:PORT` that clients which sniff are told for every node, so that they stay on the
    proxy; what OpenSearch says when left out."""

    api: ListenAddress = Address("127.0.0.1", 9280)
    """Health, metrics and the services of `apis`."""

    api_tls: ListenTls | None = None
    """The same for the api listener."""

    upstream: Upstream
    """The OpenSearch behind the sidecar."""

    models: dict[Name, Model] = Field(default={})
    """Models by name, loaded once at start."""

    plans: str = "plans"
    """Folder of the plans, seen from this file."""

    routes: tuple[Route, ...] = ()
    """Which index gets which plan; the first match wins."""

    apis: Apis = Apis()
    """The services that the api listener answers as. Without credentials they are served on
    loopback only; those that are not mentioned here are served with their defaults, if they can."""

    kendra_plugin_settings: str | None = Field(default=None, min_length=1)
    """File, seen from this file, where the index settings of the Kendra plugin are kept, which a
    cluster without it refuses; made when the first come. Left out: they pass untouched."""

    cache: str | None = None
    """Folder where passage vectors are kept over a restart, and prepared models. Left out:
    vectors are in memory only, models in `~/.cache/rescore-sidecar` (or `$XDG_CACHE_HOME`)."""

    passage_store_mb: int = Field(default=256, ge=1, le=1_000_000)
    """Memory for passage vectors, in MiB; the least recently used ones go first."""

    window_cache_s: float = Field(default=5.0, ge=0, le=300, allow_inf_nan=False)
    """Seconds that a rescored window is kept for the same caller's further pages, which are cut
    from it without asking OpenSearch again; the first page always asks. 0: every page asks."""

    window_cache_mb: int = Field(default=32, ge=1, le=100_000)
    """Memory for these windows, in MiB; the least recently used ones go first."""

    split_documents_mb: int = Field(default=64, ge=1, le=1_000_000)
    """Memory for documents as they were cut into passages, in MiB, so that a search does not cut
    them again; the least recently used ones go first."""


class Config(NamedTuple):
    """A whole, checked configuration: the main file and the plans by name."""

    main: MainFile
    plans: dict[str, Plan]
