"""`shadow_log` and `ubi`: what the sidecar writes about searches while rescoring is adopted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.strict import Strict


class ShadowLogSettings(Strict):
    log_file: str = Field(min_length=1)
    """File, relative to this file, with one JSON object a line for each search that was rescored in
    the shadow."""

    max_mb: int = Field(default=64, ge=1, le=100_000)
    """Size in MiB at which the file is renamed to `NAME.1`, in place of an older one."""

    query_text: bool = False
    """`true`: the lines have the query text, which may be personal data."""


class Ubi(Strict):
    index: str = Field(default="ubi_queries", pattern=r"^[a-z0-9][a-z0-9._-]{0,200}$")
    """Index for the queries; it is created if there is none."""

    section: Literal["keep", "cut"] = "keep"
    """`keep` leaves `ext.ubi` in the body, for the cluster's UBI plugin. `cut` takes it out,
    because a cluster without the plugin refuses it."""

    query_text: bool = False
    """`true`: `user_query` is written, which may be personal data."""

    max_waiting: int = Field(default=1000, ge=1, le=100_000)
    """Maximum number of queries that wait to be written; further ones are dropped."""
