"""Makes a request smaller as long as its answers still differ, so that a person sees why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.differential.case import Case

_TRIES = 400

Differs = Callable[[Case], bool]


def shrink(case: Case, differs: Differs) -> Case:
    """The smallest request found; `differs` says whether one still shows a difference."""
    tries = 0
    changed = True
    while changed:
        changed = False
        for smaller in _smaller(case):
            tries += 1
            if tries > _TRIES:
                return case
            if differs(smaller):
                case, changed = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Requests with one thing less, the largest things first."""
    if case.compressed:
        yield replace(case, compressed=False)
    for name in ("fields", "parameters"):
        values = getattr(case, name)
        for place in range(len(values)):
            yield replace(case, **{name: values[:place] + values[place + 1 :]})
    if case.body is None:
        return
    yield replace(case, body=None)
    if "_msearch" in case.path:
        for body in _smaller_lines(case.body):
            yield replace(case, body=body)
    else:
        for body in _smaller_text(case.body):
            yield replace(case, body=body)


def _smaller_lines(body: str) -> Iterator[str]:
    """Bodies of an `_msearch` without one search, or with one line made smaller."""
    lines = body.split("\n")
    for place in range(0, len(lines) - 1, 2):
        yield "\n".join(lines[:place] + lines[place + 2 :])
    for place, line in enumerate(lines):
        for text in _smaller_text(line):
            yield "\n".join([*lines[:place], text, *lines[place + 1 :]])


def _smaller_text(text: str) -> Iterator[str]:
    try:
        value = json.loads(text)
    except ValueError:
        return  # its oddity may be what matters
    tight = json.dumps(value)
    if len(tight) < len(text):
        yield tight
    for smaller in _smaller_values(value):
        yield json.dumps(smaller)


def _smaller_values(value: Any) -> Iterator[Any]:
    """Values with one member less, or with a member in the place of what holds it."""
    if isinstance(value, dict):
        for key in value:
            yield {other: held for other, held in value.items() if other != key}
        for key, held in value.items():
            if isinstance(held, dict):
                yield {**{other: one for other, one in value.items() if other != key}, **held}
            for smaller in _smaller_values(held):
                yield {**value, key: smaller}
    elif isinstance(value, list):
        for place, held in enumerate(value):
            yield value[:place] + value[place + 1 :]
            for smaller in _smaller_values(held):
                yield [*value[:place], smaller, *value[place + 1 :]]
    elif isinstance(value, str) and " " in value:
        words = value.split(" ")
        yield " ".join(words[: len(words) // 2])
        yield " ".join(words[len(words) // 2 :])
