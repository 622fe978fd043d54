"""Which results of a request's list are its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sidecar.aws_shapes import Structure, Whole, read_message

MOST_RESULTS = 100
"""Results that paging reaches, whatever the total; and the largest page."""

DEFAULT_SIZE = 10

_PAGE = Structure({"PageNumber": Whole(1), "PageSize": Whole(1)})

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of the results: `start` counts from 0."""

    start: int
    size: int

    def cut(self, items: Sequence[Item]) -> Sequence[Item]:
        """The page's items, of those that paging reaches; none beyond the end."""
        return items[:MOST_RESULTS][self.start : self.start + self.size]


def read_page(members: Mapping[str, Any]) -> Page:
    """The page that PageNumber and PageSize ask for; a larger size than 100 is 100.

    Raises a ValidationException for numbers below 1.
    """
    asked = {name: members[name] for name in ("PageNumber", "PageSize") if name in members}
    checked: Mapping[str, Any] = read_message(_PAGE, asked)
    size = min(checked.get("PageSize", DEFAULT_SIZE), MOST_RESULTS)
    return Page((checked.get("PageNumber", 1) - 1) * size, size)
