"""Documents to groups: which hits are ranked as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipelines.documents import Document


class Group(NamedTuple):
    """Documents that get one score; a document without a group value is a group of its own.

    `key` is the shared value (a string) or, for a document without one, its position (an integer),
    so that the two never coincide. `documents` has at least one entry, in the original order.
    """

    key: str | int
    documents: tuple[Document, ...]

    @property
    def original_score(self) -> float:
        """The original score of the group's best document."""
        if len(self.documents) == 1:
            return self.documents[0].original_score
        return max(document.original_score for document in self.documents)


def group_documents(documents: Iterable[Document]) -> list[Group]:
    """Gather the documents that share a group value; groups in order of first appearance."""
    members: dict[str | int, tuple[Document, ...]] = {}
    gathered: dict[str, list[Document]] = {}
    for document in documents:
        value = document.group_value
        if value is None:
            members[document.position] = (document,)
        elif value in gathered:
            gathered[value].append(document)
        else:
            gathered[value] = [document]
            members[value] = ()  # keeps the group's place
    members.update((key, tuple(group)) for key, group in gathered.items())
    return [*map(Group._make, members.items())]
