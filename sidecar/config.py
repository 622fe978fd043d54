"""What the main configuration file may say; plans are in `pipelines/plan.py`.

`config_files.py` reads the YAML, checks it against these types and reports every mistake with
its line. Nothing here touches the disk.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from pipelines.plan import Plan, Strict


class Address(NamedTuple):
    """A host and port to listen on; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_address(value: object) -> object:
    """Read `HOST:PORT` or `[IPv6]:PORT`; raises ValueError with the accepted form."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]\s]+)):(\d{1,5})", value)
    if not match or int(match[3]) > 65535:
        raise ValueError(f"write it as HOST:PORT, for example 127.0.0.1:9201 (not {value!r})")
    return Address(match[1] or match[2], int(match[3]))


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
Url = Annotated[str, BeforeValidator(_check_url)]


class UpstreamTls(Strict):
    ca: str | None = None
    """File of the certificate authority (PEM) that signed the nodes' certificates."""

    verify: bool = True
    """`false` accepts any certificate: for trying out only."""


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

    backend: Literal["sentence-transformers", "fake"] = "sentence-transformers"
    """What runs the model. `fake` has no model and counts shared words: for tests only."""

    revision: str | None = None
    """Revision of a hub model: a tag or commit."""

    max_tokens: int | None = Field(default=None, ge=8, le=32_768)
    """Longest text in model tokens; the model's own limit when left out."""


class Route(Strict):
    index: str = Field(min_length=1)
    """Index or alias as clients spell it; `*` and `?` match as in a file name."""

    plan: str = Field(min_length=1)
    """Name of the plan that its searches get."""

    def matches(self, name: str) -> bool:
        """Whether one name of a client's index list belongs to this route."""
        return fnmatchcase(name, self.index)


class MainFile(Strict):
    """The main file's own keys; see `Config` for it and its plans together."""

    listen: ListenAddress = Address("127.0.0.1", 9201)
    """Where applications connect instead of OpenSearch."""

    api: ListenAddress = Address("127.0.0.1", 9280)
    """Health and metrics."""

    upstream: Upstream
    """The OpenSearch behind the sidecar."""

    models: dict[Name, Model] = Field(default={})
    """Models by name, loaded once at start."""

    plans: str = "plans"
    """Folder of the plans, seen from this file."""

    routes: tuple[Route, ...] = ()
    """Which index gets which plan; the first match wins."""

    cache: str | None = None
    """Folder where passage vectors are kept over a restart; in memory only when left out."""

    passage_store_mb: int = Field(default=256, ge=1, le=1_000_000)
    """Memory for passage vectors, in MiB; the least recently used ones go first."""


class Config(NamedTuple):
    """A whole, checked configuration: the main file and the plans by name."""

    main: MainFile
    plans: dict[str, Plan]
