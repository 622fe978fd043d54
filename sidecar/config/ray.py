"""`ray`: how `python -m sidecar.ray` serves the configured models on Ray Serve."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from pipelines.strict import Strict
from sidecar.config.addresses import Address, ListenAddress


class RayReplicas(Strict):
    min: int = Field(default=1, ge=1, le=1000)
    """Replicas that are always there."""

    max: int | None = Field(default=None, ge=1, le=1000)
    """Replicas at most. If omitted: as many as the cores of this machine have room for, at least
    `min`."""

    cores: int = Field(default=1, ge=1, le=256)
    """Cores of a replica: Ray reserves them, and each model computes with as many threads, unless
    its `threads` says another number."""

    target_calls: float = Field(default=4, gt=0, le=10_000, allow_inf_nan=False)
    """Unfinished calls of a replica, waiting ones included, that are the aim of autoscaling. With
    more of them, replicas are added."""

    max_calls: int = Field(default=32, ge=1, le=10_000)
    """Unfinished calls that a replica accepts."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max must be at least min, {self.min}")
        return self


class RayBatch(Strict):
    calls: int = Field(default=8, ge=1, le=1000)
    """Calls that a model reads together, at most."""

    wait_ms: float = Field(default=2.0, ge=0, le=1000, allow_inf_nan=False)
    """Milliseconds that a call waits for others to be read with it."""


class RayServing(Strict):
    listen: ListenAddress = Address("127.0.0.1", 8000)
    """Address of the service, for `backend: remote`. Another address than loopback needs keys in
    `apis.rerank.bearer`."""

    replicas: RayReplicas = RayReplicas()
    """How many replicas, and when there are more."""

    batch: RayBatch = RayBatch()
    """Which calls are read together."""

    max_waiting: int = Field(default=256, ge=1, le=100_000)
    """Calls that wait for a replica, at most; further ones are refused with 503."""

    @field_validator("listen")
    @classmethod
    def _port_is_known(cls, value: Address) -> Address:
        if not value.port:
            raise ValueError("sidecars cannot connect to port 0")
        return value
