"""Whether a query's scores are an order of their own, and not the relevance of a text.

A `function_score` that replaces the score by a field's value is another way to sort by that field.
Scripts that do not read `_score`, distances, ranks and random scores are similar. The client asked
for such an order, and no model may change it.

The rule follows how OpenSearch computes scores. Each part of the scored query gives a relevance,
the same number for all hits, or something else. A sum or a maximum counts as a relevance if one of
its parts does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

_MAX_DEPTH = 32
"""Deeper parts of a query are not read; they count as an order of their own."""


class _Score(Enum):
    """What the scores of a part of a query mean."""

    RELEVANCE = "how well a text, or the vector of one, matches"
    CONSTANT = "the same for all hits"
    OWN = "something else, or unknown"


# All other kinds of queries give a relevance: full text, terms, vectors.
_CONSTANT = frozenset(
    {
        *("match_all", "match_none", "constant_score", "ids", "exists", "range", "terms", "prefix"),
        *("wildcard", "regexp", "type", "script", "parent_id"),
        *("geo_bounding_box", "geo_distance", "geo_polygon", "geo_shape", "xy_shape"),
    }
)
_OWN = frozenset(
    {
        *("distance_feature", "rank_feature"),
        # Elasticsearch: documents that are named come before all others.
        *("pinned", "rule", "rule_query"),
        # Its content is encoded and is not read.
        "wrapper",
    }
)
_FUNCTIONS = frozenset(
    {"script_score", "random_score", "field_value_factor", "gauss", "linear", "exp", "weight"}
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)
# The score itself, and the functions that compare vectors.
_RELEVANCE_IN_SCRIPT = re.compile(
    r"(?<![\w.'\"])(?:_score(?!\w)|(?:cosineSimilarity|dotProduct|innerProduct|l1Norm|l2Squared"
    r"|lInfNorm|hamming)\s*\()"
)


def has_own_order(query: object) -> bool:
    """Whether the scores of a parsed `query` order the hits by something other than relevance.

    False if all scores are equal, because then there is no order to keep. True if it is not certain
    that the scores are a relevance, as with a stored script.
    """
    return _read(query, _MAX_DEPTH) is _Score.OWN


def _read(query: object, depth: int) -> _Score:
    if not isinstance(query, dict) or len(query) != 1:
        return _Score.CONSTANT if not query else _Score.RELEVANCE  # perhaps an error
    [(kind, setting)] = query.items()
    if depth == 0:
        return _Score.OWN
    if not isinstance(setting, dict):
        return _Score.RELEVANCE
    if _is_zero(setting.get("boost")):
        return _Score.CONSTANT
    if kind in _CONSTANT:
        return _Score.CONSTANT
    if kind in _OWN:
        return _Score.OWN
    match kind:
        case "bool":
            return _read_bool(setting, depth)
        case "dis_max" | "hybrid":
            queries = _as_list(setting.get("queries"))
            return _join((_read(part, depth - 1) for part in queries), len(queries) > 1)
        case "boosting":
            positive = _read(setting.get("positive"), depth - 1)
            # If the positive part gives one score, `boosting` gives two.
            return _Score.OWN if positive is _Score.CONSTANT else positive
        case "function_score":
            return _read_function_score(setting, depth)
        case "script_score":
            own = _read(setting.get("query"), depth - 1)
            return _read_script(setting.get("script"), own)
        case "nested":
            return _read_joined(setting, setting.get("score_mode") != "none", depth)
        case "has_child":
            return _read_joined(setting, setting.get("score_mode", "none") != "none", depth)
        case "has_parent":
            return _read_joined(setting, setting.get("score") in (True, "true"), depth)
    # Most kinds name one field, and have their settings under it.
    field = next(iter(setting.values())) if len(setting) == 1 else None
    no_weight = isinstance(field, dict) and _is_zero(field.get("boost"))
    return _Score.CONSTANT if no_weight else _Score.RELEVANCE


def _read_bool(setting: Mapping[str, Any], depth: int) -> _Score:
    must, should = _as_list(setting.get("must")), _as_list(setting.get("should"))
    # A hit that matches fewer of the `should` clauses gets a lower score.
    least = setting.get("minimum_should_match", 0 if must or "filter" in setting else 1)
    optional = len(should) > 1 or (len(should) == 1 and least in (0, "0"))
    return _join((_read(clause, depth - 1) for clause in (*must, *should)), optional)


def _join(parts: Iterable[_Score], optional: bool = False) -> _Score:
    """The meaning of a sum or maximum of scores; `optional`: some hits lack some of them."""
    seen = set()
    for part in parts:
        if part is _Score.RELEVANCE:
            return part
        seen.add(part)
    return _Score.OWN if _Score.OWN in seen or optional else _Score.CONSTANT


def _read_joined(setting: Mapping[str, Any], scored: bool, depth: int) -> _Score:
    return _read(setting.get("query"), depth - 1) if scored else _Score.CONSTANT


def _read_function_score(setting: Mapping[str, Any], depth: int) -> _Score:
    own = _read(setting.get("query"), depth - 1)
    listed = setting.get("functions")
    functions = [one for one in _as_list(listed) if isinstance(one, dict)] if listed else [setting]
    functions = [one for one in functions if _FUNCTIONS & one.keys()]
    if not functions:
        return own
    mode = str(setting.get("boost_mode", "multiply")).lower()
    values = [_read_function(function, own) for function in functions]
    if mode == "replace":
        return _join(values)
    if own is not _Score.RELEVANCE:
        return _join([own, *values])
    # A relevance times a random number is random.
    is_random = any("random_score" in function for function in functions)
    return _Score.OWN if mode == "multiply" and is_random else own


def _read_function(function: Mapping[str, Any], own: _Score) -> _Score:
    """The meaning of a function's value; `own` is that of its query's scores."""
    script = function.get("script_score")
    if isinstance(script, dict):
        return _read_script(script.get("script"), own)
    is_weight_only = not (_FUNCTIONS - {"weight"}) & function.keys()
    # A weight with a filter gives two scores.
    return _Score.CONSTANT if is_weight_only and "filter" not in function else _Score.OWN


def _read_script(script: object, own: _Score) -> _Score:
    """The meaning of a script's value; `own` is that of its query's scores."""
    if isinstance(script, dict):
        if script.get("lang") == "knn":
            return _Score.RELEVANCE
        script = script.get("source")
    if not isinstance(script, str):
        return _Score.OWN  # a stored script
    match = _RELEVANCE_IN_SCRIPT.search(_COMMENT.sub(" ", script))
    if match is None:
        return _Score.OWN
    if not match[0].startswith("_score"):
        return _Score.RELEVANCE
    return own if own is _Score.RELEVANCE else _Score.OWN


def _is_zero(boost: object) -> bool:
    try:
        return boost is not None and float(boost) == 0  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _as_list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
