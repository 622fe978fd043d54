"""Whether a `hybrid` query can be rescored: its form, its depth, and the scores of its answer.

A `hybrid` query of neural-search runs several queries. Each shard collects a number of hits of each
query; then the scores of each query are normalised, from its own hits, and are joined. That number
is `pagination_depth` (since 2.19), or `size` without it. So only with a depth are the hits of a
small page the first hits of a large one.

Source: "Paginating hybrid query results" in OpenSearch's documentation, and `HybridQueryBuilder`
and `HybridCollectorManager` of neural-search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pipelines.plan import Plan
from sidecar.opensearch.skip_reasons import Skip
from sidecar.spans.json_spans import Spanned, read_object

_KEYS = frozenset({"queries", "filter", "pagination_depth", "boost", "_name"})
_DEPTH = "pagination_depth"
_REWRITTEN = frozenset({"agentic", "template"})
# With these, the hits of a `hybrid` query depend on more than its depth.
_BESIDE = ("rescore", "collapse")

_HIGHEST = 1.001
"""Joined scores are at most 1, except for rounding."""


class HybridDepth(NamedTuple):
    """The `pagination_depth` of a search's `hybrid` query.

    `own` is the client's, 0 if there is none. `span` is the place in the body where a greater one
    is written: the client's number, or an empty span behind the opening brace. It is None if the
    client's depth stays.
    """

    own: int
    span: tuple[int, int] | None = None

    def write(self, fetch: int) -> list[tuple[int, int, str]]:
        """The edit of the body with which each query collects `fetch` hits; empty if none is
        needed."""
        if self.span is None:
            return []
        start, end = self.span
        depth = str(max(self.own, fetch))
        return [(start, end, depth if end > start else f'"{_DEPTH}":{depth},')]


def find_faulty_form(query: Mapping[str, Any]) -> str | None:
    """The reason not to rescore a parsed `query` of the kind `hybrid`, if its form is not known."""
    setting = query["hybrid"]
    if len(query) != 1 or not isinstance(setting, dict) or not setting.keys() <= _KEYS:
        return "hybrid"
    queries = setting.get("queries")
    if not queries or not isinstance(queries, list):
        return "hybrid"
    depth = setting.get(_DEPTH, 1)
    if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
        return "hybrid"
    kinds = {kind for one in queries if isinstance(one, dict) for kind in one}
    return None if _REWRITTEN.isdisjoint(kinds) else "pipeline_query"


def read_hybrid_depth(
    url: Mapping[str, str],
    text: str,
    members: Mapping[str, Spanned],
    plan: Plan,
    page: tuple[int, int],
) -> HybridDepth | Skip | None:
    """The depth of a search's `hybrid` query; None for any other query.

    `members` are those of the body `text`, whose query has no faulty form. `page` is
    `from` and `size`. A Skip if the depth does not cover the plan's window and the plan does not
    widen it.
    """
    query = members.get("query")
    if query is None or not isinstance(query.value, dict) or "hybrid" not in query.value:
        return None
    if "q" in url or any(name in members for name in _BESIDE):
        return Skip("hybrid")
    depth: int = query.value["hybrid"].get(_DEPTH, 0)
    start, size = page
    if depth >= max(plan.rescore_window, start + size):
        return HybridDepth(depth)
    # OpenSearch refuses a later page without a depth, and the client gets this answer.
    if plan.hybrid != "widen" or (start and not depth):
        return Skip("hybrid")
    outer, _ = read_object(text, query.start)
    hybrid = outer["hybrid"]
    settings, _ = read_object(text, hybrid.start)
    if _DEPTH in settings:
        return HybridDepth(depth, (settings[_DEPTH].start, settings[_DEPTH].end))
    return HybridDepth(0, (hybrid.start + 1, hybrid.start + 1))


def are_normalised(scores: Iterable[float | None]) -> bool:
    """Whether scores can be those of a `hybrid` query after a normalization processor.

    Without one, the hits are those of each query one after another, between hits whose scores are
    marks (-9549511920.4881596475 and -4422440593.9791198149).
    """
    return all(score is None or 0 <= score <= _HIGHEST for score in scores)
