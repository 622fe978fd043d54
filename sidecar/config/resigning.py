"""What the main file may contain under `upstream.resign`, for Amazon OpenSearch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipelines.strict import Strict

FilePath = Annotated[str, Field(min_length=1)]
AccessKeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{3,128}$")]


class ClientKey(Strict):
    secret_file: FilePath
    """File with the key's secret, relative to the main file."""

    session_token_file: FilePath | None = None
    """File with its session token, for temporary credentials: requests must then carry this token.
    Without it, requests of this key must not carry any."""


def _read_client_key(value: object) -> object:
    return {"secret_file": value} if isinstance(value, str) else value


class ResignClients(Strict):
    """Who may call: clients that sign with one of these keys, or everybody on this machine."""

    keys: dict[
        AccessKeyId,
        Annotated[
            ClientKey,
            BeforeValidator(_read_client_key, json_schema_input_type=FilePath | ClientKey),
        ],
    ] = Field(default={})
    """By access key id: a file with its secret, or `secret_file` and `session_token_file`. The
    clients sign with these keys, for the region and the service above, and for the address of the
    sidecar as host."""

    accept: Literal["loopback"] | None = None
    """`loopback`: every request is accepted, signed or not; only for `listen` on loopback."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.keys) == (self.accept is not None):
            raise ValueError("write either keys, or accept: loopback")
        return self


class ResignCredentials(Strict):
    """The sidecar's own credentials; without any key here, they come from the environment."""

    access_key_id: AccessKeyId | None = None
    """Access key id; its secret is in `secret_access_key_file`."""

    secret_access_key_file: FilePath | None = None
    """File with the secret, relative to the main file."""

    session_token_file: FilePath | None = None
    """File with the session token, if the credentials are temporary."""

    profile: str | None = Field(default=None, min_length=1)
    """Profile of the shared credentials file (`$AWS_SHARED_CREDENTIALS_FILE`, or else
    `~/.aws/credentials`). It must contain the keys themselves: for roles, SSO and processes use
    `botocore`."""

    botocore: bool = False
    """`true`: botocore finds the credentials (roles of instances, containers and web identities,
    SSO). Needs the extra `aws`. With `profile`, botocore reads that profile."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key_file is None):
            raise ValueError("access_key_id and secret_access_key_file belong together")
        if self.access_key_id is None:
            if self.session_token_file is not None:
                raise ValueError("session_token_file needs access_key_id")
        elif self.profile is not None or self.botocore:
            raise ValueError("write either access_key_id, or profile and botocore")
        return self


class Resign(Strict):
    region: str = Field(pattern=r"^[a-z0-9-]{2,32}$")
    """Region of the domain or collection, such as `eu-central-1`."""

    service: Literal["es", "aoss"] = "es"
    """`es`: Amazon OpenSearch Service; `aoss`: OpenSearch Serverless."""

    clients: ResignClients
    """Who may call the proxy. Every other request gets a 403 and is not forwarded."""

    credentials: ResignCredentials = ResignCredentials()
    """What the sidecar signs with. If omitted: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    `AWS_SESSION_TOKEN` from the environment."""

    body_mb: int = Field(default=10, ge=1, le=100)
    """Maximum size of a request's body, in MiB: the signature covers it, so it is held in memory.
    A larger one gets a 413. 10 is also the limit of small Amazon domains."""
