"""A judged collection that a command offers to the page, such as the demo's sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PageCollection:
    """Queries and grades by query id, for searches of `index` with this plan and template.

    `template` has `{{query}}` where the query text belongs.
    """

    index: str
    plan: str
    template: Mapping[str, Any]
    queries: Mapping[str, str]
    grades: Mapping[str, Mapping[str, float]]

    def as_json(self) -> dict[str, Any]:
        """The collection as the page reads it."""
        return {
            "index": self.index,
            "plan": self.plan,
            "template": self.template,
            "queries": [[query, text] for query, text in self.queries.items()],
            "grades": self.grades,
        }
