"""What the main file may say under `apis.rerank`: the rerank APIs, their keys and their limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.plan import Strict

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
    """Bearer keys by the name that metrics show; none: every caller is served, and the api
    listener must stay on loopback. Write `${NAME}` and set NAME in the environment."""


class TencentKey(Strict):
    id: str = Field(min_length=1)
    """The SecretId that clients sign with."""

    secret: Secret = Field(repr=False)
    """Its SecretKey; write `${NAME}` and set NAME in the environment."""

    token: Secret | None = Field(default=None, repr=False)
    """The token that must come with it, as temporary credentials have one."""


class TencentRunRerank(Strict):
    keys: dict[KeyName, TencentKey] = Field(default={}, repr=False)
    """Secret pairs by the name that metrics show; none: signatures are not looked at, and the api
    listener must stay on loopback."""

    old_signatures: bool = False
    """`true` accepts HmacSHA1 and HmacSHA256 beside TC3-HMAC-SHA256."""

    max_documents: int = Field(default=20, ge=1, le=1000)
    """Documents of one request; the international API has 20, the mainland one 60."""

    max_characters: int = Field(default=0, ge=0)
    """Characters of Query and Docs together; the mainland API has 2000. 0: no limit."""

    strict: bool = False
    """`true` refuses regions other than ap-jakarta and members that the API does not have."""


class RerankApis(Strict):
    """The section as a whole. An API whose section is null is not served."""

    plan: str | None = None
    """The plan whose passages and stages are used; when left out `fused` if there is one, else
    the first by name."""

    deadline_ms: int = Field(default=30_000, ge=1, le=600_000)
    """Milliseconds a request may take; what cannot be scored whole by then is an error."""

    max_documents: int = Field(default=1000, ge=1, le=10_000)
    """Documents of one request."""

    max_body_bytes: int = Field(default=4 << 20, ge=1024, le=64 << 20)
    """Bytes of one request."""

    max_tokens: int = Field(default=1_000_000, ge=1)
    """Tokens of one request, as `usage` counts them."""

    requests_per_second: float = Field(default=0, ge=0, le=100_000, allow_inf_nan=False)
    """Requests a second of each key, a second's worth of them at once; 0: no limit."""

    cosine: CosineLogits = CosineLogits()
    """How a bi-encoder's cosine becomes the logit that clients expect."""

    usage: str | None = None
    """SQLite file, seen from the main file, that keeps the usage counters over a restart; in
    memory only when left out."""

    bearer: BearerShapes | None = BearerShapes()
    """Cohere, Jina, Voyage, TEI, Infinity: `/rerank`, `/v1/rerank` and `/v2/rerank`."""

    tencent: TencentRunRerank | None = TencentRunRerank()
    """Tencent Cloud LKEAP RunRerank at `/`."""


def needs_loopback(settings: RerankApis) -> bool:
    """Whether an API is open to whoever can reach the api listener."""
    return any(api is not None and not api.keys for api in (settings.bearer, settings.tencent))
