"""`passages: {method: kendra}`: passages as OpenSearch's Kendra plugin cuts and chooses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from pipelines.kendra_text import (
    BODY_TOKENS,
    TITLE_TOKENS,
    choose_kendra_passages,
    split_kendra_passages,
    tokenise,
)
from pipelines.strict import Strict
from pipelines.texts import replace_surrogates


class KendraPassages(Strict):
    """The rules of OpenSearch's Kendra Intelligent Ranking plugin to the letter."""

    method: Literal["kendra"] = "kendra"
    """Selects this method."""

    per_group: int = Field(default=3, ge=1, le=100)
    """Maximum number of passages scored per group; the best by BM25 are taken."""

    keeps_small_groups: ClassVar[bool] = False

    @property
    def cutting(self) -> str:
        """See `PassageMethod`."""
        return self.method

    def cut(self, title: str, body: str) -> list[tuple[str, str]]:
        """See `PassageMethod`. Line breaks end a sentence for the plugin, so they count here."""
        before = tokenise(replace_surrogates(title))[:TITLE_TOKENS]
        return [
            (" ".join(before + tokens[:BODY_TOKENS]), " ".join(tokens))
            for tokens in split_kendra_passages(replace_surrogates(body))
        ]

    def needs_scores(self, counts: Iterable[int]) -> bool:
        """Never: the plugin scores the passages of each document by themselves."""
        return False

    def choose(
        self, query_text: str, groups: Sequence[Sequence[str]], scores: Sequence[Sequence[float]]
    ) -> list[Sequence[int]]:
        """See `PassageMethod`; by the plugin's own scores, within each group."""
        tokens = tokenise(query_text)
        return [
            choose_kendra_passages(tokens, [body.split(" ") for body in bodies], self.per_group)
            for bodies in groups
        ]
