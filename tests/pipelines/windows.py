"""Plans, hits and groups for the tests of the core, each in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.documents import Document
from pipelines.groups import Group
from pipelines.hits import Hit
from pipelines.plan import Plan


def a_plan(**keys: Any) -> Plan:
    """A plan over `title` and `body` with one stage of model `m`, unless `keys` says otherwise."""
    return Plan.model_validate(
        {"document": {"title": "title", "body": "body"}, "stages": [{"model": "m"}], **keys}
    )


def hits_of(sources: Sequence[dict[str, Any]], scores: Sequence[float] = ()) -> list[Hit]:
    """Hits with these sources; original scores fall from 10 by 1 unless given."""
    scores = scores or [10.0 - position for position in range(len(sources))]
    return [
        Hit(i, score, source) for i, (source, score) in enumerate(zip(sources, scores, strict=True))
    ]


def lone_groups(scores: Sequence[float]) -> list[Group]:
    """One group a hit, with these original scores."""
    return [Group(i, (Document(i, "", "", score, None),)) for i, score in enumerate(scores)]
