"""What the main file may contain about the Kendra Intelligent Ranking API."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.strict import Strict

PLAN_ID = r"[a-zA-Z0-9][a-zA-Z0-9-]{35}"
Secret = Annotated[str, Field(min_length=1)]


class AccessKey(Strict):
    id: str = Field(pattern=r"^[^\s/,=]+$")
    """Access key id, as the client's AWS credentials name it."""

    secret: str = Field(min_length=1, repr=False)
    """Its secret; write `${NAME}` and set NAME in the environment."""

    rescore_only: bool = False
    """`true`: the key may only rescore; operations on plans and tags are denied."""


class KendraRanking(Strict):
    plan: str = Field(default="kendra-intelligent-ranking", min_length=1)
    """Name of the plan that scores; its models, passages and aggregate are used. Its window,
    document fields and fusion do not apply, because the request contains the documents."""

    store_file: str = Field(default="kendra-ranking.sqlite", min_length=1)
    """SQLite file with the rescore execution plans and their tags, relative to this file."""

    access_keys: tuple[AccessKey, ...] = ()
    """Keys whose signatures (SigV4) are accepted. Without any key or bearer token, every request is
    accepted, and the api listener must be on loopback."""

    bearer_tokens: tuple[Secret, ...] = Field(default=(), repr=False)
    """Tokens that are accepted in `Authorization: Bearer TOKEN` instead of a signature, for
    curl."""

    region: str | None = Field(default=None, pattern=r"^[a-z0-9.-]{1,63}$")
    """The region that signatures must name; any region if omitted."""

    account: str = Field(default="000000000000", pattern=r"^\d{12}$")
    """Account number in the plans' ARNs."""

    auto_plan: str | None = Field(default=None, pattern=f"^{PLAN_ID}$")
    """Id, with 36 letters, digits and `-`, of a plan that always exists."""

    strict_quotas: bool = False
    """`true`: a request with more than 25 groups, 3 documents per group, 100 title tokens or
    200 body tokens, with control characters, or with scores out of range gets a
    ValidationException. `false`: longer token lists are cut, control characters count as
    blanks, and scores are moved into range."""

    max_groups: int = Field(default=1000, ge=1, le=10_000)
    """Maximum groups per request, unless `strict_quotas`."""

    max_plans: int = Field(default=50, ge=1, le=10_000)
    """Maximum number of rescore execution plans."""

    max_capacity_units: int = Field(default=1000, ge=0, le=1_000_000)
    """Maximum capacity units per plan, besides the base unit."""

    throttling: bool = False
    """`true`: a plan allows 0.01 requests per second for each capacity unit and for the base
    unit, in each process; more requests get a ThrottlingException."""

    deadline_ms: int = Field(default=5000, ge=1, le=600_000)
    """Maximum milliseconds for a request's scoring; then it gets a ThrottlingException. The
    passages that the model has read by then are stored for the next attempt."""

    max_body_mb: int = Field(default=8, ge=1, le=256)
    """Largest request body, in MiB."""

    transition_ms: int = Field(default=0, ge=0, le=600_000)
    """Milliseconds for which a plan stays CREATING, UPDATING or DELETING, to test clients that wait
    for it. 0: changes take effect at once."""

    @property
    def needs_loopback(self) -> bool:
        """Whether everybody who can reach the listener may call it."""
        return not self.access_keys and not self.bearer_tokens
