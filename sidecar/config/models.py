"""`models`: what the main file says of each model, and of the service behind a remote one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from pipelines.strict import Strict

RemoteApi = Literal["cohere", "tei", "openai-embeddings", "kserve-v2"]

REMOTE_APIS: Mapping[str, tuple[RemoteApi, ...]] = {
    "bi-encoder": ("tei", "openai-embeddings", "kserve-v2"),
    "cross-encoder": ("cohere", "tei", "kserve-v2"),
}
"""The APIs that can serve each kind of model."""

_OF_A_SERVICE = ("url", "api", "scores", "key", "ca_file", "timeout_ms", "batch")


def _check_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("the host or the port of this URL is wrong") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write it as http://HOST:PORT or https://HOST:PORT/PATH")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong in the URL; use key")
    if parts.query or parts.fragment:
        raise ValueError("write only scheme, host, port and path")
    return value


RemoteUrl = Annotated[str, BeforeValidator(_check_url)]


class Model(Strict):
    kind: Literal["bi-encoder", "cross-encoder", "static"]
    """`bi-encoder`: reads query and passage separately, so that passage vectors can be stored.
    `cross-encoder`: reads both together, which is more precise and much slower. `static`: a table
    of word vectors, whose mean is a text's vector; needs no backend, and is far quicker and less
    precise than a bi-encoder."""

    source: str = Field(min_length=1)
    """A hub id, a folder (`./models/x`), a jar or zip file with an ONNX graph and its
    `tokenizer.json` (`./x.jar`), or `package:NAME` for a model in a Python package. With
    `backend: remote`: the name by which the service knows the model."""

    backend: Literal["openvino", "onnx", "sentence-transformers", "remote", "fake"] = "openvino"
    """What runs the model. `openvino` and `onnx` prepare it once and then need no torch.
    `sentence-transformers` runs it as published, also on a GPU. `remote` calls a service that
    serves it. `fake` has no model and counts shared words; only for tests."""

    precision: Literal["auto", "int8", "bf16", "f32"] = "auto"
    """Numbers that `openvino` computes with. `auto`: of `int8-fixed`, `int8`, `bf16` and `f32`, the
    fastest on this machine with which the model ranks like the original; this is measured. If
    `bf16` is not faster than `f32` on this machine, `bf16` runs as `f32`."""

    threads: int | None = Field(default=None, ge=1, le=256)
    """Threads of `openvino` and `onnx`. If omitted: the number of cores, less one if there are more
    than two."""

    revision: str | None = None
    """Revision of a model of the hub: a tag or commit; only for such a source."""

    max_tokens: int | None = Field(default=None, ge=8, le=32_768)
    """Maximum model tokens per text; the model's own limit if omitted. Not for `fake`."""

    query_prompt: str | None = Field(default=None, max_length=2000)
    """Text before each query text of a bi-encoder. Left out: the prompt in the model's files, or
    for some known models (bge, e5) the prompt that their authors recommend."""

    passage_prompt: str | None = Field(default=None, max_length=2000)
    """Text before each passage of a bi-encoder. Left out: as for `query_prompt`."""

    pooling: Literal["cls", "mean"] | None = None
    """How the token vectors of a bi-encoder become one vector: `cls` takes the first token's,
    `mean` their mean. For models of `openvino` whose files do not say it, such as an ONNX graph.
    Left out: as a table of known models says."""

    url: RemoteUrl | None = None
    """Address of the service, for `backend: remote`. Without a path, the usual path of its `api` is
    added; a URL with a path is used unchanged."""

    api: RemoteApi | None = None
    """What the service speaks, for `backend: remote`. Bi-encoders: `tei`, `openai-embeddings` or
    `kserve-v2`; cross-encoders: `cohere`, `tei` or `kserve-v2`."""

    scores: Literal["probability", "logit"] | None = None
    """What the scores of a remote cross-encoder are: `probability` from 0 to 1, or `logit`. A start
    checks it."""

    key: str | None = Field(default=None, min_length=1, max_length=8192, repr=False)
    """Key of the service, sent as `Authorization: Bearer`; write `${NAME}` and set NAME in the
    environment."""

    ca_file: str | None = Field(default=None, min_length=1)
    """PEM file, relative to this file, with the certificate authority of an https service; the
    system's authorities if omitted."""

    timeout_ms: int | None = Field(default=None, ge=1, le=600_000)
    """Milliseconds for one call of the service, 5000 if omitted; never more than the search has
    left."""

    batch: int | None = Field(default=None, ge=1, le=1024)
    """Maximum texts in one call of the service, 16 if omitted. The first call has the best texts,
    so a slow service scores these before the deadline."""

    @property
    def has_files(self) -> bool:
        """Whether the model is loaded from files."""
        return self.backend not in ("remote", "fake")

    @property
    def is_prepared(self) -> bool:
        """Whether the model is turned into a graph before it is served."""
        return self.kind != "static" and self.backend in ("openvino", "onnx")

    @property
    def runs_on(self) -> str:
        """What runs it, for people: its backend, or `table` for a static model."""
        return "table" if self.kind == "static" else self.backend

    @model_validator(mode="after")
    def _static_needs_no_backend(self) -> Self:
        unused = {"backend", "precision", "threads"}.intersection(self.model_fields_set)
        if self.kind == "static" and unused:
            raise ValueError(f"{min(unused)} has no use for kind: static; leave it out")
        return self

    @model_validator(mode="after")
    def _settings_of_the_backend(self) -> Self:
        if self.pooling is not None and self.backend != "openvino":
            raise ValueError(f"pooling is for backend: openvino, not {self.backend}")
        for key in ("query_prompt", "passage_prompt", "pooling"):
            if getattr(self, key) is not None and self.kind != "bi-encoder":
                raise ValueError(f"{key} is for kind: bi-encoder")
            if getattr(self, key) is not None and self.backend == "fake":
                raise ValueError(f"{key} is for a model, and backend: fake has none")
        if self.precision != "auto" and self.backend != "openvino":
            raise ValueError(f"precision is for backend: openvino; {self.backend} has its own")
        if self.threads is not None and self.backend not in ("openvino", "onnx"):
            raise ValueError(f"threads is for backend: openvino or onnx, not {self.backend}")
        if self.max_tokens is not None and self.backend == "fake":
            raise ValueError("max_tokens is for a model that has tokens; backend: fake has none")
        if self.max_tokens is not None and self.backend == "remote":
            raise ValueError("max_tokens has no use for backend: remote, whose service cuts texts")
        return self

    @model_validator(mode="after")
    def _settings_of_a_service(self) -> Self:
        if self.backend != "remote":
            used = [key for key in _OF_A_SERVICE if getattr(self, key) is not None]
            if used:
                raise ValueError(f"{used[0]} is for backend: remote, not {self.runs_on}")
            return self
        if self.url is None or self.api is None:
            raise ValueError("backend: remote needs url and api")
        fitting = REMOTE_APIS[self.kind]
        if self.api not in fitting:
            raise ValueError(f"api for kind: {self.kind} is one of {', '.join(fitting)}")
        if (self.scores is None) == (self.kind == "cross-encoder"):
            raise ValueError("scores (probability or logit) belongs to a remote cross-encoder")
        if self.ca_file is not None and not self.url.startswith("https:"):
            raise ValueError("ca_file is for an https url")
        return self

    @model_validator(mode="after")
    def _revision_has_a_use(self) -> Self:
        if self.revision is None:
            return self
        if not self.has_files:
            raise ValueError(
                f"revision is for a model of the hub; backend: {self.backend} loads none"
            )
        if self.source.startswith(("package:", ".", "/", "~")):
            raise ValueError(
                f"revision is for a model of the hub; {self.source} has the files it has"
            )
        return self
