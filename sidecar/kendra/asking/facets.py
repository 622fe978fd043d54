"""Facets: for each value of an attribute, the number of matching documents that have it.

Facets are aggregations of the search itself, so its filters and its user context apply to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.aws.errors import invalid
from sidecar.config.kendra import KendraIndex
from sidecar.kendra.indexes.schema import Dsl, find_attribute, write_value

DEFAULT_VALUES = 10

_NESTED = "nested"
_DOCUMENTS = "documents"
# A terms aggregation collects more buckets on a shard than its size, by OpenSearch's own formula.
_SHARD_SHARE = 1.5
_SHARD_EXTRA = 10


@dataclass(frozen=True, slots=True)
class Facet:
    """One facet of at most `most` values; `nested` is the facet within each of its values."""

    name: str
    most: int
    nested: Facet | None = None


def read_facets(
    members: Sequence[Mapping[str, Any]] | None, index: KendraIndex
) -> tuple[Facet, ...]:
    """The facets of a Query, in their order. If two facets have the same attribute, the first wins.

    Raises a ValidationException for an attribute that is not facetable, for more than one facet
    within a facet, and for deeper facets.
    """
    facets = [_read_facet(member, index, outermost=True) for member in members or ()]
    return tuple({facet.name: facet for facet in reversed(facets)}[name] for name in _once(facets))


def write_aggregations(facets: Sequence[Facet], index: KendraIndex) -> Dsl:
    """The `aggs` of a search, by name. A facet of 0 values has none.

    The number of all buckets stays within the index's `max_buckets`, because OpenSearch refuses a
    search that has more. First inner facets get fewer values, then outer ones.
    """
    counted = [facet for facet in facets if facet.most]
    aggregations = {}
    for facet in counted:
        allowance = index.max_buckets // len(counted)
        inner = facet.nested
        # Each outer bucket needs room for itself and for one inner bucket.
        terms, collected = _write_terms(facet, index, allowance // 2 if inner else allowance)
        if inner and inner.most:
            rest = max(1, allowance // collected - 1)
            within, _ = _write_terms(inner, index, rest)
            terms.setdefault("aggs", {})[_NESTED] = within
        aggregations[_key(facet)] = terms
    return aggregations


def read_facet_results(
    facets: Sequence[Facet], aggregations: Mapping[str, Any], index: KendraIndex
) -> list[dict[str, Any]]:
    """The FacetResults from a search's `aggregations`, one for each facet."""
    return [_read_result(facet, aggregations.get(_key(facet), {}), index) for facet in facets]


def _read_facet(member: Mapping[str, Any], index: KendraIndex, *, outermost: bool) -> Facet:
    name = member["DocumentAttributeKey"]
    if not find_attribute(index, name, "Facets").facetable:
        raise invalid(f"Facets names the attribute {name}, which is not facetable.")
    nested = member.get("Facets", ())
    if nested and not outermost:
        raise invalid("Facets cannot be nested more than one level deep.")
    if len(nested) > 1:
        raise invalid(f"The facet {name} has {len(nested)} facets within it; 1 is allowed.")
    return Facet(
        name,
        member.get("MaxResults", DEFAULT_VALUES),
        _read_facet(nested[0], index, outermost=False) if nested else None,
    )


def _once(facets: Sequence[Facet]) -> list[str]:
    return list(dict.fromkeys(facet.name for facet in facets))


def _key(facet: Facet) -> str:
    return f"facet:{facet.name}"


def _write_terms(facet: Facet, index: KendraIndex, allowance: int) -> tuple[Dsl, int]:
    """The aggregation, and how many buckets a shard collects for it."""
    size = max(1, min(facet.most, allowance))
    collected = max(size, min(int(size * _SHARD_SHARE) + _SHARD_EXTRA, allowance))
    by = _DOCUMENTS if index.fields.shared_id else "_count"
    terms: Dsl = {
        "terms": {
            "field": index.field_of(facet.name),
            "size": size,
            "shard_size": collected,
            "min_doc_count": 1,
            "order": [{by: "desc"}, {"_key": "asc"}],
        }
    }
    if index.fields.shared_id:
        # Hits that share an id are passages of one document, which counts once.
        terms["aggs"] = {_DOCUMENTS: {"cardinality": {"field": index.fields.document_id}}}
    return terms, collected


def _read_result(
    facet: Facet, aggregation: Mapping[str, Any], index: KendraIndex
) -> dict[str, Any]:
    attribute = index.attributes[facet.name]
    # An empty string counts as a missing value.
    buckets = [each for each in aggregation.get("buckets", ()) if each["key"] != ""]
    if attribute.type == "DATE":
        # Dates in replies have a resolution of one second.
        buckets = _join(buckets, lambda key: key // 1000 * 1000)
    pairs = []
    for bucket in buckets[: facet.most]:
        pair = {
            "DocumentAttributeValue": write_value(attribute, bucket["key"]),
            "Count": _count(bucket),
        }
        if facet.nested:
            pair["FacetResults"] = [_read_result(facet.nested, bucket.get(_NESTED, {}), index)]
        pairs.append(pair)
    return {
        "DocumentAttributeKey": facet.name,
        "DocumentAttributeValueType": f"{attribute.type}_VALUE",
        "DocumentAttributeValueCountPairs": pairs,
    }


def _join(buckets: Iterable[Dsl], value: Callable[[Any], Any]) -> list[Dsl]:
    """Join buckets whose keys have the same `value`; returns buckets in the order of facets."""
    joined: dict[Any, Dsl] = {}
    for bucket in buckets:
        key = value(bucket["key"])
        same = joined.get(key)
        if same is None:
            joined[key] = {**bucket, "key": key}
            continue
        same["doc_count"] += bucket["doc_count"]
        if _DOCUMENTS in bucket:
            same[_DOCUMENTS] = {"value": _count(same) + _count(bucket)}
        if _NESTED in bucket:
            inner = [*same[_NESTED]["buckets"], *bucket[_NESTED]["buckets"]]
            same[_NESTED] = {"buckets": _join(inner, lambda key: key)}
    return sorted(joined.values(), key=lambda bucket: (-_count(bucket), bucket["key"]))


def _count(bucket: Mapping[str, Any]) -> int:
    documents = bucket.get(_DOCUMENTS)
    return int(documents["value"] if documents else bucket["doc_count"])
