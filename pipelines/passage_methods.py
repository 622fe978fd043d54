"""The ways to cut documents into passages, as a plan's `passages.method` names them.

Each method is a class with its settings as fields and its rules as methods, in a file of its own.
To add one, write such a file and name its class in `Passages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Protocol

from pydantic import Field, Tag

from pipelines.kendra_passages import KendraPassages
from pipelines.sentence_passages import SentencePassages
from pipelines.strict import by_method


class PassageMethod(Protocol):
    """What the core asks of a method; every class in `Passages` has it."""

    @property
    def method(self) -> str:
        """The name in the plan."""
        ...

    @property
    def per_group(self) -> int:
        """Maximum number of passages that are scored per group."""
        ...

    @property
    def keeps_small_groups(self) -> bool:
        """Whether `choose` takes all passages of a group with at most `per_group`, in order."""
        ...

    @property
    def cutting(self) -> str:
        """Names the method and every setting that `cut` depends on; equal texts cut equally."""
        ...

    def cut(self, title: str, body: str) -> list[tuple[str, str]]:
        """Cut one document: each passage's whole text, and the part of it that is body.

        Title and body are as they stand in the source. A text may come out
        twice; a document without any text gives no passages.
        """
        ...

    def needs_scores(self, counts: Iterable[int]) -> bool:
        """Whether `choose` compares BM25 scores, for groups with these numbers of passages."""
        ...

    def choose(
        self, query_text: str, groups: Sequence[Sequence[str]], scores: Sequence[Sequence[float]]
    ) -> list[Sequence[int]]:
        """The places of each group's passages to score, at most `per_group`, the best first.

        `groups` has the passages' bodies in reading order, `scores` the BM25 of each, which is 0
        where `needs_scores` is false. Each group is chosen from by itself.
        """
        ...


Passages = Annotated[
    Annotated[SentencePassages, Tag("sentences")] | Annotated[KendraPassages, Tag("kendra")],
    Field(discriminator=by_method("sentences")),
]
"""How a plan cuts documents: one of the methods, with the settings that act on it."""
