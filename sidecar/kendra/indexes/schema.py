"""An index's schema: attributes by name, and their values in hits.

Values are doc values, which OpenSearch returns as they are indexed. So a date is always a number of
milliseconds, whatever its format in the document. Lists of strings are read from the documents
instead: doc values are sorted and without repetitions, and the first author would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sidecar.aws.errors import invalid
from sidecar.config.kendra import KendraIndex
from sidecar.config.kendra_attributes import ALWAYS_SORTABLE, Attribute

Dsl = dict[str, Any]
"""A part of a search body."""

MOST_SORT_KEYS = 3

MOST_DOC_VALUES = 100
"""OpenSearch's default limit on doc values of one search (`index.max_docvalue_fields_search`)."""


def find_attribute(index: KendraIndex, name: str, member: str) -> Attribute:
    """The attribute of this name. Raises a ValidationException that names `member`."""
    attribute = index.attributes.get(name)
    if attribute is None:
        raise invalid(f"{member} names the attribute {name}, which the index does not have.")
    return attribute


def find_sortable(index: KendraIndex, name: str, member: str) -> Attribute:
    """The same for a sortable attribute."""
    attribute = find_attribute(index, name, member)
    if attribute.type == "STRING_LIST":
        raise invalid(f"{member} names the attribute {name}, a STRING_LIST, which has no order.")
    if not attribute.sortable and name not in ALWAYS_SORTABLE:
        raise invalid(f"{member} names the attribute {name}, which is not sortable.")
    return attribute


def ask_for_values(index: KendraIndex, names: Iterable[str]) -> list[Dsl]:
    """The fields to fetch for the values of these attributes."""
    return [
        {
            "field": index.field_of(name),
            **({"format": "epoch_millis"} if index.attributes[name].type == "DATE" else {}),
        }
        for name in dict.fromkeys(names)
    ]


def write_value_fields(fields: Sequence[Dsl], index: KendraIndex) -> Dsl:
    """The members of a search body that fetch these fields.

    OpenSearch limits the number of doc values. Further fields, and those of lists, are read from
    the documents instead (`fields`); their values are in the same place of a hit.
    """
    lists = {
        index.field_of(name)
        for name, attribute in index.attributes.items()
        if attribute.type == "STRING_LIST"
    }
    single = [field for field in fields if field["field"] not in lists]
    values: Dsl = {"docvalue_fields": single[:MOST_DOC_VALUES]}
    rest = [field for field in fields if field["field"] in lists] + single[MOST_DOC_VALUES:]
    if rest:
        values["fields"] = rest
    return values


def read_values(
    index: KendraIndex, name: str, fields: Mapping[str, Sequence[Any]]
) -> list[str | int]:
    """An attribute's values from the `fields` of a hit; empty without any.

    A STRING_LIST has the document's order; other values ascend. A LONG is a number, a DATE a number
    of milliseconds. An empty string counts as a missing value, because the service's model does not
    allow it.
    """
    attribute = index.attributes[name]
    values = fields.get(index.field_of(name), ())
    if attribute.type == "STRING_LIST":
        return [str(value) for value in values if value != ""]
    if attribute.type == "STRING":
        return sorted({str(value) for value in values if value != ""})
    # The milliseconds of a `date_nanos` have decimals.
    return sorted(int(str(value).partition(".")[0]) for value in values)


def write_value(attribute: Attribute, value: str | int) -> dict[str, Any]:
    """One value as a DocumentAttributeValue.

    One value of a list is a StringValue, as facets have it.
    """
    if attribute.type in ("STRING", "STRING_LIST"):
        return {"StringValue": value}
    if attribute.type == "LONG":
        return {"LongValue": value}
    return {"DateValue": int(value) // 1000}
