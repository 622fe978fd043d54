"""What the main file may contain under `apis.rerank`: the rerank APIs, their keys and limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.strict import Strict

# Key names become metric labels.
KeyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Secret = Annotated[str, Field(min_length=1)]


class CosineLogits(Strict):
    scale: float = Field(default=10.0, gt=0, le=1000, allow_inf_nan=False)
    """How steeply the logit grows with a bi-encoder's cosine."""

    middle: float = Field(default=0.4, ge=-1, le=1, allow_inf_nan=False)
    """The cosine that becomes the logit 0, which is the relevance 0.5."""


class BearerShapes(Strict):
    keys: dict[KeyName, Secret] = Field(default={}, repr=False)
    """Bearer keys, by the name that metrics show. Without keys, every caller is served, and the api
    listener must be on loopback. Write `${NAME}` and set NAME in the environment."""


class Embeddings(Strict):
    """Vectors of texts, on the paths with bearer keys."""

    model: str | None = None
    """The bi-encoder that gives the vectors, unless a request names another one. If omitted: the
    first one among the plan's stages, else the first by name. Without bi-encoders, these paths are
    not served."""

    max_texts: int = Field(default=2048, ge=1, le=10_000)
    """Maximum texts per request. Bytes and tokens are limited as for rerank requests."""


class TencentKey(Strict):
    id: str = Field(min_length=1)
    """The SecretId that clients sign with."""

    secret: Secret = Field(repr=False)
    """Its SecretKey; write `${NAME}` and set NAME in the environment."""

    token: Secret | None = Field(default=None, repr=False)
    """The token that requests with this key must have, as with temporary credentials."""


class TencentRunRerank(Strict):
    keys: dict[KeyName, TencentKey] = Field(default={}, repr=False)
    """Secret pairs, by the name that metrics show. Without keys, signatures are ignored, and
    the api listener must be on loopback."""

    old_signatures: bool = False
    """`true` also accepts HmacSHA1 and HmacSHA256, besides TC3-HMAC-SHA256."""

    max_documents: int = Field(default=20, ge=1, le=1000)
    """Maximum documents per request; 20 in the international API, 60 in the mainland API."""

    max_characters: int = Field(default=0, ge=0)
    """Maximum characters of Query and Docs together; 2000 in the mainland API. 0: no limit."""

    strict: bool = False
    """`true` refuses regions other than ap-jakarta, and members that the API does not have."""


class RerankApis(Strict):
    """The whole section. An API whose section is null is not served."""

    plan: str | None = None
    """The plan whose passages and stages are used. If omitted: `fused` if there is such a plan,
    else the first by name."""

    deadline_ms: int = Field(default=30_000, ge=1, le=600_000)
    """Maximum milliseconds per request; if not all documents are scored by then, the answer is an
    error."""

    max_documents: int = Field(default=1000, ge=1, le=10_000)
    """Maximum documents per request."""

    max_body_bytes: int = Field(default=4 << 20, ge=1024, le=64 << 20)
    """Maximum bytes per request."""

    max_tokens: int = Field(default=1_000_000, ge=1)
    """Maximum tokens per request, as `usage` counts them."""

    requests_per_second: float = Field(default=0, ge=0, le=100_000, allow_inf_nan=False)
    """Maximum requests per second and key; at most one second's requests may come at once. 0: no
    limit."""

    cosine: CosineLogits = CosineLogits()
    """How a bi-encoder's cosine becomes the logit that clients expect."""

    usage_file: str | None = None
    """SQLite file, relative to the main file, that preserves the usage counters across restarts. If
    omitted, they are only in memory."""

    bearer: BearerShapes | None = BearerShapes()
    """Cohere, Jina, Voyage, TEI, Infinity, vLLM, NVIDIA: `/rerank`, `/v1/rerank`, `/v2/rerank`,
    `/v1/ranking`, `/v1/score`, `/info`, `/v1/models`, `/health` and their other names."""

    embeddings: Embeddings | None = Embeddings()
    """OpenAI's `/v1/embeddings` and TEI's `/embed` and `/similarity`, with the keys of `bearer`."""

    tencent: TencentRunRerank | None = TencentRunRerank()
    """Tencent Cloud LKEAP RunRerank at `/`."""

    @property
    def needs_loopback(self) -> bool:
        """Whether an API serves everybody who can reach the api listener."""
        return any(api is not None and not api.keys for api in (self.bearer, self.tencent))
