"""What the other parts ask an index's schema: attributes by name, and the values of hits.

Values come as doc values, which OpenSearch returns as they are indexed: a date is always a number
of milliseconds then, however the document spells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sidecar.aws_errors import invalid
from sidecar.config_kendra import KendraIndex
from sidecar.config_kendra_attributes import ALWAYS_SORTABLE, Attribute

Dsl = dict[str, Any]
"""A part of a search body."""

MOST_SORT_KEYS = 3

MOST_DOC_VALUES = 100
"""Doc values of one search, as OpenSearch has it (`index.max_docvalue_fields_search`)."""


def find_attribute(index: KendraIndex, name: str, member: str) -> Attribute:
    """The attribute of this name; raises a ValidationException that says which member names it."""
    attribute = index.attributes.get(name)
    if attribute is None:
        raise invalid(f"{member} names the attribute {name}, which the index does not have.")
    return attribute


def find_sortable(index: KendraIndex, name: str, member: str) -> Attribute:
    """The same for an attribute by which results can be sorted."""
    attribute = find_attribute(index, name, member)
    if attribute.type == "STRING_LIST":
        raise invalid(f"{member} names the attribute {name}, a STRING_LIST, which has no order.")
    if not attribute.sortable and name not in ALWAYS_SORTABLE:
        raise invalid(f"{member} names the attribute {name}, which is not sortable.")
    return attribute


def ask_for_values(index: KendraIndex, names: Iterable[str]) -> list[Dsl]:
    """The fields of a search whose hits are to carry these attributes' values."""
    return [
        {
            "field": index.field_of(name),
            **({"format": "epoch_millis"} if index.attributes[name].type == "DATE" else {}),
        }
        for name in dict.fromkeys(names)
    ]


def write_value_fields(fields: Sequence[Dsl]) -> Dsl:
    """The members of a search body that ask for these fields' values.

    What OpenSearch refuses as doc values for their number is read from the documents instead, and
    stands at the same place of a hit.
    """
    values: Dsl = {"docvalue_fields": list(fields[:MOST_DOC_VALUES])}
    if len(fields) > MOST_DOC_VALUES:
        values["fields"] = list(fields[MOST_DOC_VALUES:])
    return values


def read_values(
    index: KendraIndex, name: str, fields: Mapping[str, Sequence[Any]]
) -> list[str | int]:
    """An attribute's values out of the `fields` of a hit, none where it has none.

    A LONG is a number, a DATE a number of milliseconds. An empty string is no value, as the
    service's model has none of that length. They are in order, as doc values are by themselves.
    """
    attribute = index.attributes[name]
    values = fields.get(index.field_of(name), ())
    if attribute.type in ("STRING", "STRING_LIST"):
        return sorted({str(value) for value in values if value != ""})
    # The milliseconds of a `date_nanos` have decimals.
    return sorted(int(str(value).partition(".")[0]) for value in values)


def write_value(attribute: Attribute, value: str | int) -> dict[str, Any]:
    """One value as a DocumentAttributeValue; one value of a list is a StringValue, as clients of
    facets expect it."""
    if attribute.type in ("STRING", "STRING_LIST"):
        return {"StringValue": value}
    if attribute.type == "LONG":
        return {"LongValue": value}
    return {"DateValue": int(value) // 1000}
