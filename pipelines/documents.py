"""Hits to documents: the fields that the plan names are picked out of `_source`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.hits import Hit
from pipelines.plan import DocumentField, Plan

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Part:
    """The text of a field that is read apart, and the weight of its scores.

    `titled`: it is of the body, so the title stands before its passages.
    """

    text: str
    weight: float
    titled: bool


class Document(NamedTuple):
    """What a hit says once the plan's fields are picked; title and body may be empty.

    They are as they stand in the source: cleaning them is a part of cutting them into passages.

    `group_value` is the value of the plan's `group_by` field as text, None where there is none.
    `apart` has the fields with a weight of their own, which are not in `body`.
    """

    position: int
    title: str
    body: str
    original_score: float
    group_value: str | None
    apart: tuple[Part, ...] = ()


def read_documents(hits: Sequence[Hit], plan: Plan) -> list[Document]:
    """Pick each hit's title, body and group value; one document a hit, in the same order.

    A dotted name is found however the object spells it (`{"a.b": 1}`, `{"a": {"b": 1}}`), as
    OpenSearch itself reads such a source. Lists and whole objects give all their values in order,
    joined by blanks; null and missing fields give nothing.
    """
    title, body = plan.document.title, plan.document.body
    together = tuple(field for field in body if field.weight is None)
    apart = [(field, field.weight, False) for field in title if field.weight is not None]
    apart += [(field, field.weight, True) for field in body if field.weight is not None]
    return [
        Document(
            hit.position,
            _join_fields(hit.source, title),
            _join_fields(hit.source, together),
            hit.original_score,
            (join_values(hit.source, (plan.group_by,)) or None) if plan.group_by else None,
            tuple(
                Part(text, weight, titled)
                for field, weight, titled in apart
                if (text := _join_fields(hit.source, (field,)))
            ),
        )
        for hit in hits
    ]


def clean_text(text: str) -> str:
    """Make each run of white space one blank, none at the ends, and the text encodable."""
    return replace_surrogates(" ".join(text.split()))


def replace_surrogates(text: str) -> str:
    r"""Put U+FFFD for each lone surrogate.

    JSON may hold one (`"\ud800"`), tokenisers and ICU refuse it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def join_values(source: Mapping[str, object], names: Sequence[str]) -> str:
    """Every value of the named fields of a source as text, joined by blanks."""
    if len(names) == 1 and "." not in names[0]:
        # What most plans and sources look like: one plain field with one string.
        value = source.get(names[0])
        if isinstance(value, str):
            return value
    return " ".join(text for name in names for text in _values(source, name))


def _join_fields(source: Mapping[str, object], fields: Sequence[DocumentField]) -> str:
    if len(fields) == 1 and fields[0].label is None:
        return join_values(source, (fields[0].field,))
    return " ".join(filter(None, (_labelled(source, field) for field in fields)))


def _labelled(source: Mapping[str, object], field: DocumentField) -> str:
    """A field's text; with a label its values are a sentence of their own."""
    values = list(_values(source, field.field))
    if field.label is None or not values:
        return " ".join(values)
    text = f"{field.label}: {', '.join(values)}"
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def _values(source: Mapping[str, object], name: str) -> Iterator[str]:
    """Yield every scalar under a dotted name as text, in the order of the source."""
    # A stack of its own: a source may be nested deeper than Python's calls.
    stack: list[tuple[object, str]] = [(source, name)]
    while stack:
        value, rest = stack.pop()
        if isinstance(value, str):
            if not rest and value:
                yield value
        elif isinstance(value, Mapping):
            stack.extend(reversed(_children(value, rest)))
        elif isinstance(value, (list, tuple)):
            stack.extend((item, rest) for item in reversed(value))
        elif not rest and value is not None:
            yield str(value).lower() if isinstance(value, bool) else str(value)


def _children(value: Mapping[str, object], name: str) -> list[tuple[object, str]]:
    """Step into an object: each of its keys that is the name's beginning, with what is left."""
    if not name:
        return [(child, "") for child in value.values()]
    parts = name.split(".")
    heads = ((".".join(parts[:end]), ".".join(parts[end:])) for end in range(1, len(parts) + 1))
    return [(value[head], rest) for head, rest in heads if head in value]
