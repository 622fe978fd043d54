"""The four ways in which the sidecar is configured for fuzzing, and what is then to be seen.

- `none`: no route. Every answer is the direct one to the byte.
- `identity`: a model that likes all texts the same, and positional scores: the whole way of a
  rescored search is gone, and the answer still is the direct one to the byte.
- `reverse`: a model that likes each text better than the one before it: what has text in the
  rescore window comes in the reverse order.
- `extended`: as `identity`, with what is off by default: search pipelines are allowed, and three in
  four searches that have a route are sent a second time with a section `ext.rescore`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from pipelines.scoring import Enough
from sidecar.models.scorers import Models
from sidecar.models.text_scorer import TextScorer
from tests.differential.corpus import ROUTED
from tests.running import Sidecar, running_sidecar

Setting = Literal["none", "identity", "reverse", "extended"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)

WINDOW = 20
"""Hits that are rescored; smaller than what most searches of the corpus find."""

_PLAN = {
    "rescore_window": WINDOW,
    "deadline_ms": 60_000,
    "document": {"title": "title", "body": "body"},
    "fusion": {"method": "replace"},
    "scores": "positional",
}

PIPELINE_USES = {
    "nosuch": "keeps_order",
    "fuzz-filters": "keeps_order",
    "fuzz-renames": "normalises",
    "fuzz-strict": "keeps_order",
    "fuzz-script": "keeps_order",
    "fuzz-cuts": "reranks",
}
"""What the configuration says about the search pipelines that requests name."""


class _Constant:
    """Likes all texts the same, so that the original order stands."""

    spread = 1.0
    highest = None

    def unread(self, texts: Sequence[str]) -> Sequence[str]:
        return texts

    def expect(self, query_text: str) -> None:
        pass

    async def recall(self, query_text: str, texts: Sequence[str], deadline: float | None) -> None:
        return None

    async def estimate(self, query_text: str, texts: Sequence[str], deadline: float | None) -> None:
        return None

    async def score(
        self,
        query_text: str,
        texts: Sequence[str],
        deadline: float | None,
        enough: Enough | None = None,
    ) -> list[float | None]:
        return [1.0] * len(texts)

    def close(self) -> None:
        pass


class _Rising(_Constant):
    """Likes each text better than the one before it; they come in the original order."""

    async def score(
        self,
        query_text: str,
        texts: Sequence[str],
        deadline: float | None,
        enough: Enough | None = None,
    ) -> list[float | None]:
        return [float(number) for number in range(len(texts))]


@contextmanager
def running_setting(folder: Path, upstream: str, setting: Setting) -> Iterator[Sidecar]:
    """A sidecar of this setting before the OpenSearch at the URL `upstream`."""
    routes = {} if setting == "none" else dict.fromkeys(ROUTED, "fuzz")
    scorer: TextScorer = _Rising() if setting == "reverse" else _Constant()
    plan, main = _PLAN, {}
    if setting == "extended":
        plan = {**_PLAN, "hybrid": "widen"}
        main = {"upstream": {"urls": [upstream], "pipelines": PIPELINE_USES}}
    with running_sidecar(
        folder, upstream, {"fuzz": plan}, routes, Models({"words": scorer}), main=main
    ) as sidecar:
        yield sidecar
