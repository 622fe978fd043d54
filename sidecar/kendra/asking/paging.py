"""PageNumber and PageSize: the slice of the results that a request wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sidecar.aws.shapes import Structure, Whole, read_message
from sidecar.kendra.indexes.served_index import MOST_RESULTS

DEFAULT_SIZE = 10

_PAGE = Structure({"PageNumber": Whole(1), "PageSize": Whole(1)})

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A slice of the results; `start` counts from 0."""

    start: int
    size: int

    def cut(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items of this page, among the first 100; empty beyond the last one."""
        return items[:MOST_RESULTS][self.start : self.start + self.size]


def read_page(members: Mapping[str, Any]) -> ResultPage:
    """The page for PageNumber and PageSize. A size above 100 becomes 100.

    Raises a ValidationException for numbers below 1.
    """
    numbers = {name: members[name] for name in ("PageNumber", "PageSize") if name in members}
    checked: Mapping[str, Any] = read_message(_PAGE, numbers)
    size = min(checked.get("PageSize", DEFAULT_SIZE), MOST_RESULTS)
    return ResultPage((checked.get("PageNumber", 1) - 1) * size, size)
