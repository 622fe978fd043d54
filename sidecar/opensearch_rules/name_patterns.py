"""Names of fields and indexes with `*`, as in `_source` filters, queries and index lists.

The patterns come from clients, so they are matched in linear time. A regular expression made from
`*a*a*a*a` would try every way to place its letters.
"""

from __future__ import annotations

import re

_stars = re.compile(r"\*+").sub


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern matches the whole name; `*` matches any text, also none and with dots."""
    if "*" not in pattern:
        return pattern == name
    if len(pattern) - pattern.count("*") > len(name):
        return False  # so the loop below has at most as many pieces as the name has letters
    first, *others = _stars("*", pattern).split("*")
    *middle, last = others
    offset, end = len(first), len(name) - len(last)
    if offset > end or not name.startswith(first) or not name.endswith(last):
        return False
    for piece in middle:
        place = name.find(piece, offset, end)
        if place < 0:
            return False
        offset = place + len(piece)
    return True
