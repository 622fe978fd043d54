"""A hit: one entry of `hits.hits` in a search response, reduced to what ranking reads.

What a search makes of each hit are named tuples here and in the files behind: a frozen dataclass
takes four times as long to make, and a window has hundreds of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Hit(NamedTuple):
    """One hit, as a front door read it.

    `position` counts from 0 in the original order; `original_score` is what OpenSearch gave;
    `source` is the parsed `_source`, empty when the response has none.
    """

    position: int
    original_score: float
    source: Mapping[str, Any]
