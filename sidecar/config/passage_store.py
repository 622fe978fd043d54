"""The main file's section `passage_store`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from pipelines.strict import Strict


class PassageStoreSettings(Strict):
    memory_mb: int = Field(default=256, ge=1, le=1_000_000)
    """Memory for passage vectors, in MiB; the least recently used vectors are dropped first."""

    folder: str | None = None
    """Folder for passage vectors and prepared models, relative to this file. If omitted, vectors
    are lost at a restart, and models are in `~/.cache/rescore-sidecar` (or `$XDG_CACHE_HOME`)."""

    url: str | None = Field(
        default=None,
        pattern=r"^rediss?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/\d{1,3})?$",
    )
    """Valkey or Redis server whose passage vectors several sidecars share: `redis://HOST:PORT/DB`,
    or `rediss://` for TLS. Needs the extra `[valkey]`; see docs/scaling.md."""

    username: str | None = Field(default=None, min_length=1)
    """The server's account (ACL); the default account if omitted."""

    password: str | None = Field(default=None, min_length=1, repr=False)
    """Its password; write `${NAME}` and set NAME in the environment."""

    ca_file: str | None = Field(default=None, min_length=1)
    """PEM file with the certificate authority of a `rediss://` server, relative to this file; the
    system's authorities if omitted."""

    timeout_ms: int = Field(default=2, ge=1, le=1000)
    """Milliseconds that a search waits for the server; then the model reads the passages. A later
    answer is stored in memory for the next search."""

    ttl_days: int = Field(default=30, ge=1, le=3650)
    """Days after which the server drops a vector."""

    def folder_in(self, base: Path) -> Path | None:
        """The folder, for a main file in `base`; None if the configuration names none."""
        return base / self.folder if self.folder else None

    @field_validator("url", mode="before")
    @classmethod
    def _url_has_no_secret(cls, value: object) -> object:
        if isinstance(value, str) and "@" in value:
            raise ValueError("write the account as username and password, keys of their own")
        return value

    @model_validator(mode="after")
    def _keys_of_the_server(self) -> Self:
        unused = {
            "username",
            "password",
            "ca_file",
            "timeout_ms",
            "ttl_days",
        } & self.model_fields_set
        if self.url is None and unused:
            raise ValueError(f"without url, {', '.join(sorted(unused))} has no use")
        if self.username is not None and self.password is None:
            raise ValueError("username needs a password")
        if self.ca_file is not None and self.url is not None and not self.url.startswith("rediss:"):
            raise ValueError("ca_file is for rediss://")
        if self.url is not None:
            port = self.url.rpartition("//")[2].partition("/")[0].rpartition("]")[2]
            if ":" in port and not 0 < int(port.rpartition(":")[2]) < 65536:
                raise ValueError("the url's port is between 1 and 65535")
        return self
