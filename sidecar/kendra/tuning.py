"""Relevance tuning: what an index's attributes, or a request's overrides, do to the order.

Tuning is applied twice. In the search it lets the documents it lifts into the rescore window; when
the model has read that window, `rate` says how much of each lift remains to be added. It never
adds a document that does not match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.aws_errors import invalid
from sidecar.config_kendra import KendraIndex
from sidecar.config_kendra_attributes import Attribute, AttributeRelevance, RankOrder
from sidecar.kendra.schema import Dsl, find_attribute, read_values

LARGEST_IMPORTANCE = 10
DEFAULT_DURATION = 7_884_000
"""Seconds that a document is fresh: three months."""

_MEMBER = "DocumentRelevanceOverrideConfigurations"
_TITLE = "_document_title"
_BODY = "_document_body"
_YEAR = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Tuned:
    """The tuning of one attribute; `fresh_for` is in seconds."""

    name: str
    importance: int = 1
    fresh_for: int | None = None
    rank_order: RankOrder | None = None
    values: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Tuning:
    """What holds for one request: weights of the searched fields, and attributes that lift.

    `fields` are written as a `multi_match` takes them, `name^weight`.
    """

    fields: tuple[str, ...]
    lifts: tuple[Tuned, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes whose values the hits must carry for `rate`."""
        return tuple(lift.name for lift in self.lifts)


def read_tuning(overrides: Sequence[Mapping[str, Any]] | None, index: KendraIndex) -> Tuning:
    """The index's own tuning, with a request's DocumentRelevanceOverrideConfigurations over it.

    Overrides change nothing where the index has no tuning. Where it has, what they do not name
    falls to an importance of 1. Raises a ValidationException for unknown attributes, for lists,
    and for tuning that does not fit an attribute's type.
    """
    named = _read_overrides(overrides or (), index)
    own = {
        name: _write_tuned(name, attribute.relevance)
        for name, attribute in index.attributes.items()
        if attribute.relevance
    }
    if not named or not own:
        weights = {_TITLE: index.fields.title_importance, _BODY: index.fields.body_importance}
        return _gather(index, own, weights)
    lowered = {
        name: Tuned(name, 1, tuned.fresh_for, tuned.rank_order, tuned.values)
        for name, tuned in own.items()
    }
    weights = {name: named[name].importance if name in named else 1 for name in (_TITLE, _BODY)}
    return _gather(index, {**lowered, **named}, weights)


def write_lifts(query: Dsl, tuning: Tuning, index: KendraIndex) -> Dsl:
    """The query with the tuning's boosts; the query itself without any.

    An importance of 10 doubles a score at most. The constant function stands for what a document
    has anyway: without it, a small boost would be a loss against having none.
    """
    functions = [each for lift in tuning.lifts for each in _functions(lift, index)]
    if not functions:
        return query
    return {
        "function_score": {
            "query": query,
            "functions": [{"weight": LARGEST_IMPORTANCE}, *functions],
            "score_mode": "sum",
            "boost_mode": "multiply",
        }
    }


def rate(
    tuning: Tuning, index: KendraIndex, hits: Sequence[Mapping[str, Sequence[Any]]], now: float
) -> list[float] | None:
    """How much tuning lifts each hit of a window, each attribute from 0 to 1; None without tuning.

    `hits` are their `fields`; `now` is in epoch seconds. Numbers and dates with a rank order are
    compared within the window.
    """
    if not tuning.lifts:
        return None
    ratings = [0.0] * len(hits)
    for lift in tuning.lifts:
        values = [read_values(index, lift.name, fields) for fields in hits]
        for place, rating in enumerate(_rate_values(lift, values, now)):
            ratings[place] += rating / LARGEST_IMPORTANCE
    return ratings


def _read_overrides(overrides: Sequence[Mapping[str, Any]], index: KendraIndex) -> dict[str, Tuned]:
    named: dict[str, Tuned] = {}
    for override in overrides:
        name, given = override["Name"], override["Relevance"]
        if name in named:
            raise invalid(f"{_MEMBER} names {name} twice.")
        text = name in (_TITLE, _BODY) and name not in index.attributes
        attribute = Attribute(type="STRING") if text else find_attribute(index, name, _MEMBER)
        _check_type(name, attribute, given)
        named[name] = Tuned(
            name,
            given.get("Importance", 1),
            _seconds(given.get("Duration")) if given.get("Freshness") else None,
            given.get("RankOrder"),
            tuple(given.get("ValueImportanceMap", {}).items()),
        )
    if sum(tuned.fresh_for is not None for tuned in named.values()) > 1:
        raise invalid(f"{_MEMBER} can have Freshness for one attribute only.")
    return named


def _check_type(name: str, attribute: Attribute, given: Mapping[str, Any]) -> None:
    if attribute.type == "STRING_LIST":
        raise invalid(f"{_MEMBER} names {name}, a STRING_LIST, which only the index can tune.")
    fitting = {
        "STRING": ("ValueImportanceMap",),
        "LONG": ("RankOrder",),
        "DATE": ("Freshness", "Duration", "RankOrder"),
    }[attribute.type]
    for member in ("Freshness", "Duration", "RankOrder", "ValueImportanceMap"):
        if given.get(member) and member not in fitting:
            raise invalid(f"{_MEMBER} has a {member} for {name}, a {attribute.type}.")


def _write_tuned(name: str, relevance: AttributeRelevance) -> Tuned:
    return Tuned(
        name,
        relevance.importance or 1,
        _seconds(relevance.duration) if relevance.freshness else None,
        relevance.rank_order,
        tuple(relevance.value_importance_map.items()),
    )


def _seconds(duration: str | None) -> int:
    return max(1, int(duration[:-1])) if duration else DEFAULT_DURATION


def _gather(index: KendraIndex, tuned: Mapping[str, Tuned], weights: Mapping[str, int]) -> Tuning:
    fields = [f"{field}^{weights[_TITLE]}" for field in index.fields.title]
    fields += [f"{field}^{weights[_BODY]}" for field in index.fields.body]
    for name, attribute in index.attributes.items():
        if attribute.searchable:
            field = attribute.text_field or index.field_of(name)
            weight = tuned[name].importance if name in tuned else 1
            fields.append(f"{field}^{weight}")
    lifts = [_with_order(each, index) for each in tuned.values() if each.name in index.attributes]
    return Tuning(tuple(dict.fromkeys(fields)), tuple(lift for lift in lifts if _lifts(lift)))


def _with_order(tuned: Tuned, index: KendraIndex) -> Tuned:
    """A number or date that counts more than others lifts large and late values by default."""
    ordered = index.attributes[tuned.name].type in ("LONG", "DATE")
    if not ordered or tuned.rank_order or tuned.fresh_for is not None or tuned.importance == 1:
        return tuned
    return Tuned(tuned.name, tuned.importance, rank_order="ASCENDING")


def _lifts(tuned: Tuned) -> bool:
    return bool(tuned.values or tuned.rank_order or tuned.fresh_for is not None)


def _functions(lift: Tuned, index: KendraIndex) -> Iterable[Dsl]:
    where = index.field_of(lift.name)
    weight = lift.importance
    for value, importance in lift.values:
        yield {"filter": {"term": {where: value}}, "weight": importance}
    if lift.fresh_for is not None:
        gauss = {
            "origin": "now",
            "offset": f"{lift.fresh_for}s",
            "scale": f"{_scale(lift)}s",
            "decay": 0.5,
        }
        yield _decay("gauss", where, gauss, weight)
    if lift.rank_order is None:
        return
    ascending = lift.rank_order == "ASCENDING"
    if index.attributes[lift.name].type == "DATE":
        # Earlier is better: nearer to a day that is before all others.
        origin = "now" if ascending else "now-100y"
        scale = _YEAR if ascending else 50 * _YEAR
        yield _decay("exp", where, {"origin": origin, "scale": f"{scale}s"}, weight)
    elif ascending:
        # A logarithm of what is below zero would fail the search. A million counts in full.
        yield {
            "filter": {"range": {where: {"gte": 0}}},
            "field_value_factor": {"field": where, "modifier": "log1p"},
            "weight": weight / 6,
        }
    else:
        yield {"filter": {"range": {where: {"lt": 1}}}, "weight": weight}
        yield {
            "filter": {"range": {where: {"gte": 1}}},
            "field_value_factor": {"field": where, "modifier": "reciprocal"},
            "weight": weight,
        }


def _decay(kind: str, where: str, by: Mapping[str, object], weight: float) -> Dsl:
    # A document without the date would count as one of today.
    return {"filter": {"exists": {"field": where}}, kind: {where: by}, "weight": weight}


def _scale(lift: Tuned) -> int:
    return max(1, (lift.fresh_for or 0) // lift.importance)


def _rate_values(lift: Tuned, values: Sequence[Sequence[str | int]], now: float) -> list[float]:
    """Each hit's share of the lift, from 0 to its importance."""
    ratings = [0.0] * len(values)
    importances = dict(lift.values)
    numbers = [int(some[0]) if some and not importances else None for some in values]
    known = [number for number in numbers if number is not None]
    least, span = (min(known), max(known) - min(known)) if known else (0, 0)
    for place, (some, number) in enumerate(zip(values, numbers, strict=True)):
        if importances:
            ratings[place] = float(max((importances.get(str(each), 0) for each in some), default=0))
        if number is None:
            continue
        if lift.fresh_for is not None:
            beyond = max(0.0, abs(now - number / 1000) - lift.fresh_for)
            ratings[place] = lift.importance * 0.5 ** ((beyond / _scale(lift)) ** 2)
        if lift.rank_order and span:
            share = (number - least) / span
            ratings[place] += lift.importance * (
                share if lift.rank_order == "ASCENDING" else 1 - share
            )
    return ratings
