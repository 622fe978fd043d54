"""Field names with `*`, as `_source` filters and queries write them.

The patterns come from clients, so they are matched in linear time: a regular expression made of
`*a*a*a*a` would try every way to place its letters.
"""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name fits; `*` stands for any characters, dots included, or none."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == name
    *middle, last = others
    offset, end = len(first), len(name) - len(last)
    if offset > end or not name.startswith(first) or not name.endswith(last):
        return False
    for piece in middle:
        found = name.find(piece, offset, end)
        if found < 0:
            return False
        offset = found + len(piece)
    return True
