"""A hit: one entry of `hits.hits` in a search response, reduced to what ranking reads.

What a search makes of each hit is a named tuple, here and in later files: a frozen dataclass takes
four times as long to make, and a window has hundreds of hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Hit(NamedTuple):
    """One hit of a search response.

    `position` counts from 0 in the original order. `original_score` is OpenSearch's. `source` is
    the parsed `_source`, empty if the response has none.
    """

    position: int
    original_score: float
    source: Mapping[str, Any]
