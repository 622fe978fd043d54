"""Documents to groups: which hits are ranked as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipelines.documents import Document


class Group(NamedTuple):
    """Documents that get one score; a hit without a group value is a group of its own.

    `key` is the shared value (a string) or, for a hit of its own, its position (an integer), so
    that the two never meet. `documents` has at least one entry, in the original order.
    """

    key: str | int
    documents: tuple[Document, ...]

    @property
    def original_score(self) -> float:
        """The original score of the group: its best document's."""
        if len(self.documents) == 1:
            return self.documents[0].original_score
        return max(document.original_score for document in self.documents)


def group_documents(documents: Iterable[Document]) -> list[Group]:
    """Gather the documents that share a group value; groups in order of first appearance."""
    members: dict[str | int, list[Document]] = {}
    for document in documents:
        value = document.group_value
        members.setdefault(document.position if value is None else value, []).append(document)
    return [Group(key, tuple(group)) for key, group in members.items()]
