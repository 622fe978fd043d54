"""What a door is: the code that serves one external API on the api listener.

`sidecar/app.py` lists the doors. Each is built from its section of the configuration; a door
whose section may not be served is left out. The rules for that are in `served_section`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from pipelines.plan import Plan
from sidecar.api.request_body import BodyReader
from sidecar.api.root_service import RootService
from sidecar.config.main_file import Config, default_plan
from sidecar.document_scoring import DocumentModels, DocumentScoring
from sidecar.expiring_cache import NoOtherCaches, OtherCaches
from sidecar.metrics import Metrics
from sidecar.passage_cutter import PassageCutter
from sidecar.relay.front import Exchanger

_ALONE = NoOtherCaches()

_log = logging.getLogger(__name__)


class TextEmbedder(Protocol):
    """A loaded bi-encoder."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    async def embed(
        self, texts: Sequence[str], deadline: float, *, as_queries: bool
    ) -> list[NDArray[np.float32]]:
        """One vector of length 1 for each text; `deadline` in seconds of `loop.time()`.

        Raises RescoreError unless all texts were read.
        """
        ...


class LoadedModels(DocumentModels, Protocol):
    """All loaded models."""

    def bi_encoder(self, name: str) -> TextEmbedder | None:
        """The bi-encoder of this name, if it is one."""
        ...


Part = TypeVar("Part")


class KeptParts:
    """Parts of doors that a new configuration's doors use again, such as counters. By kind and
    file."""

    def __init__(self) -> None:
        self._parts: dict[tuple[type, Path | None], object] = {}

    def get(self, kind: type[Part], file: Path | None, create: Callable[[], Part]) -> Part:
        """The part of this kind for the file; it is created when it is first needed."""
        part = self._parts.get((kind, file))
        if not isinstance(part, kind):
            part = create()
            self._parts[kind, file] = part
        return part


class DoorError(Exception):
    """A door cannot start; the message names the setting and says what to change."""


class Door(Protocol):
    """One external API. Belongs to one event loop."""

    async def start(self) -> None:
        """Open what the door needs, before the first request; raises DoorError."""
        ...

    def routes(self) -> Sequence[web.RouteDef]:
        """Paths that belong to this door alone."""
        ...

    def root_services(self) -> Sequence[RootService]:
        """Services that share `/` with other doors."""
        ...

    async def close(self) -> None:
        """Close what the door has opened. Also called after a start that failed or never was."""
        ...


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What doors are built from.

    `folder`: where relative paths of the configuration start. `models`: None while they load.
    `scoring` scores documents with them; all doors share its line. `others`: the other
    workers' caches. `kept` has what stays when the configuration is replaced.
    """

    config: Config
    folder: Path
    models: Callable[[], LoadedModels | None]
    scoring: DocumentScoring
    upstream: Exchanger
    passage_cutter: PassageCutter
    metrics: Metrics
    bodies: BodyReader
    others: OtherCaches = _ALONE
    kept: KeptParts = field(default_factory=KeptParts)


class DoorSection(Protocol):
    """A door's section of the configuration, under `apis`."""

    @property
    def needs_loopback(self) -> bool:
        """Whether an API of this section has no keys, so that everybody may call it."""
        ...


_Section = TypeVar("_Section", bound=DoorSection)


def served_section(config: Config, name: str, section: _Section | None) -> _Section | None:
    """The section `apis.NAME` if its door is to be served, else None.

    A door is not served if the section is null, if there are no plans, or if it has no keys and
    the api listener can be reached from other machines. If the main file itself has the section,
    the last two are mistakes, which stop the start earlier.
    """
    if section is None or not config.plans:
        return None
    if section.needs_loopback and not config.main.api_listen.is_loopback:
        _log.info("apis.%s is not served: api_listen is not on loopback, and it has no keys", name)
        return None
    return section


def choose_plan(plans: Mapping[str, Plan], configured: str | None) -> str:
    """The configured plan's name; without one `fused` if it exists, else the first by name.

    Raises ValueError if the configured plan does not exist, or if there are no plans.
    """
    name = configured or default_plan(plans)
    if name is None or name not in plans:
        known = ", ".join(sorted(plans)) or "none"
        problem = f"there is no plan {name!r}" if name else "a plan is needed"
        raise ValueError(f"{problem}; the plans are: {known}")
    return name
