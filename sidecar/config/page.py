"""What the main file may contain under `ui`: whether the page is served, and its keys."""

from __future__ import annotations

from pydantic import Field

from pipelines.strict import Strict
from sidecar.config.rerank import KeyName, Secret


class Ui(Strict):
    """The page at `/ui` on the api listener."""

    enabled: bool = True
    """`false`: the page is not served."""

    keys: dict[KeyName, Secret] = Field(default={}, repr=False)
    """Keys that open the page, each with a name for it. Without keys, everybody on this machine may
    use the page, and it is served only if `api_listen` is on loopback. Write `${NAME}` and set NAME
    in the environment."""

    @property
    def needs_loopback(self) -> bool:
        """Whether the page is open to everybody who can reach the api listener."""
        return self.enabled and not self.keys
