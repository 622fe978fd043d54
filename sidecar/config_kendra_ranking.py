"""What the main file may say about the Kendra Intelligent Ranking API."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.plan import Strict

PLAN_ID = r"[a-zA-Z0-9][a-zA-Z0-9-]{35}"
Secret = Annotated[str, Field(min_length=1)]


class AccessKey(Strict):
    id: str = Field(pattern=r"^[^\s/,=]+$")
    """Access key id, as the client's AWS credentials name it."""

    secret: str = Field(min_length=1, repr=False)
    """Its secret; write `${NAME}` and set NAME in the environment."""

    rescore_only: bool = False
    """`true`: the key may rescore, and the operations on plans and tags are denied to it."""


class KendraRanking(Strict):
    plan: str = Field(default="kendra-intelligent-ranking", min_length=1)
    """Name of the plan that scores; its models, passages and aggregate are used. Its window,
    document fields and fusion do not apply, as a request brings its documents along."""

    store: str = Field(default="kendra-ranking.sqlite", min_length=1)
    """File of the rescore execution plans and their tags, seen from this file."""

    access_keys: tuple[AccessKey, ...] = ()
    """Keys whose signatures (SigV4) are accepted. With no key and no bearer token every request
    is accepted, and the api listener stays on loopback."""

    bearer_tokens: tuple[Secret, ...] = Field(default=(), repr=False)
    """Accepted in `Authorization: Bearer TOKEN` in place of a signature, for curl."""

    region: str | None = Field(default=None, pattern=r"^[a-z0-9.-]{1,63}$")
    """The region that signatures must name; any when left out."""

    account: str = Field(default="000000000000", pattern=r"^\d{12}$")
    """Account number within the plans' ARNs."""

    auto_plan: str | None = Field(default=None, pattern=f"^{PLAN_ID}$")
    """A plan id of 36 letters, digits and `-` that is there without being created."""

    strict_quotas: bool = False
    """`true`: 25 groups, 3 documents a group, 100 title and 200 body tokens, no control
    characters and scores within range, or a ValidationException. `false`: longer token lists are
    cut, control characters read as blanks, and scores moved into range."""

    max_groups: int = Field(default=1000, ge=1, le=10_000)
    """Groups of one request, unless `strict_quotas`."""

    max_plans: int = Field(default=50, ge=1, le=10_000)
    """Rescore execution plans that may exist at once."""

    max_capacity_units: int = Field(default=1000, ge=0, le=1_000_000)
    """Capacity units of one plan, beyond the base unit."""

    throttling: bool = False
    """`true`: a plan gets 0.01 requests a second for each capacity unit and the base unit, in
    each process; more are refused with a ThrottlingException."""

    deadline_ms: int = Field(default=5000, ge=1, le=600_000)
    """Milliseconds that a request's scoring may take; then it is refused with a
    ThrottlingException, and what was read is kept for the next try."""

    max_body_mb: int = Field(default=8, ge=1, le=256)
    """Largest request body, in MiB."""

    transition_ms: int = Field(default=0, ge=0, le=600_000)
    """Milliseconds that a plan stays CREATING, UPDATING or DELETING, for testing clients that
    wait for it; 0: it is ACTIVE, or gone, at once."""


def needs_loopback(settings: KendraRanking) -> bool:
    """Whether anybody who reaches the listener may call it."""
    return not settings.access_keys and not settings.bearer_tokens
