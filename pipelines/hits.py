"""A hit: one entry of `hits.hits` in a search response, reduced to what ranking reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit, as a front door read it.

    `position` counts from 0 in the original order; `original_score` is what OpenSearch gave;
    `source` is the parsed `_source`, empty when the response has none.
    """

    position: int
    original_score: float
    source: Mapping[str, Any]
