"""Parses the JSON bodies of strangers, with a bound on the number of values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn

from sidecar.spans.json_amounts import has_more_values

MOST_VALUES: Final = 100_000
"""Maximum number of values for bodies that have no reason to have more."""


class TooManyValues(Exception):
    """The body has more values than allowed."""


def parse_json(body: bytes, most: int, parse_float: Callable[[str], float] | None = None) -> Any:
    """Parse a UTF-8 body that has at most `most` values; a byte order mark may precede it.

    Raises TooManyValues, ValueError if the body is not JSON, and RecursionError if its nesting is
    too deep.
    """
    if has_more_values(body, most):
        raise TooManyValues(f"there are more than {most} values")
    return json.loads(
        body.decode("utf-8-sig"),
        object_hook=_give_way,
        parse_constant=_refuse_constant,
        parse_float=parse_float,
    )


def _give_way(members: dict[str, Any]) -> dict[str, Any]:
    # This is Python code, so other threads can run between two objects.
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
