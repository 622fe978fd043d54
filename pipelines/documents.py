"""Hits to documents: picks the fields that the plan names out of `_source`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.hits import Hit
from pipelines.plan import DocumentField, Plan

_new_tuple = tuple.__new__


@dataclass(frozen=True, slots=True)
class Part:
    """The text of a field that is read separately, and the weight of its scores.

    `titled`: the field belongs to the body, so the title stands before its passages.
    """

    text: str
    weight: float
    titled: bool


class Document(NamedTuple):
    """The texts of a hit that ranking reads; title and body may be empty.

    Both are as they stand in the source: the passage method cleans them when it cuts.

    `group_value` is the value of the plan's `group_by` field as text, None if there is none.
    `apart` contains the fields with a weight of their own, which are not in `body`.
    """

    position: int
    title: str
    body: str
    original_score: float
    group_value: str | None
    apart: tuple[Part, ...] = ()


def read_documents(hits: Sequence[Hit], plan: Plan) -> list[Document]:
    """Pick each hit's title, body and group value; one document per hit, in the same order.

    A dotted name matches both spellings of an object (`{"a.b": 1}` and `{"a": {"b": 1}}`), as it
    does in OpenSearch. Lists and whole objects give all their values in order, joined by blanks;
    null and missing fields give nothing.
    """
    title, body = plan.document.title, plan.document.body
    together = tuple(field for field in body if field.weight is None)
    apart = [(field, field.weight, False) for field in title if field.weight is not None]
    apart += [(field, field.weight, True) for field in body if field.weight is not None]
    title_name, body_name, group_by = _only_plain(title), _only_plain(together), plan.group_by
    documents = []
    for position, original_score, source in hits:
        # Most plans and sources have one plain field with one string.
        title_text = source.get(title_name) if title_name else None
        body_text = source.get(body_name) if body_name else None
        texts = (
            title_text if isinstance(title_text, str) else _join_fields(source, title),
            body_text if isinstance(body_text, str) else _join_fields(source, together),
        )
        group_value = (join_values(source, (group_by,)) or None) if group_by else None
        parts = _read_apart(source, apart) if apart else ()
        # Without the checks of `Document`, as a window has hundreds.
        fields = (position, *texts, original_score, group_value, parts)
        documents.append(_new_tuple(Document, fields))
    return documents


def _only_plain(fields: Sequence[DocumentField]) -> str | None:
    """The name of the field, if it is the only one, and has neither a label nor a dot."""
    if len(fields) != 1 or fields[0].label is not None or "." in fields[0].field:
        return None
    return fields[0].field


def _read_apart(
    source: Mapping[str, object], apart: Sequence[tuple[DocumentField, float, bool]]
) -> tuple[Part, ...]:
    return tuple(
        Part(text, weight, titled)
        for field, weight, titled in apart
        if (text := _join_fields(source, (field,)))
    )


def join_values(source: Mapping[str, object], names: Sequence[str]) -> str:
    """Every value of the named fields of a source as text, joined by blanks."""
    if len(names) == 1 and "." not in names[0]:
        value = source.get(names[0])
        if isinstance(value, str):
            return value
    return " ".join(text for name in names for text in _values(source, name))


def read_only_text(source: Mapping[str, object], name: str) -> str | None:
    """The value of the named field, if it is one text."""
    values = list(_values(source, name))
    return values[0] if len(values) == 1 else None


def _join_fields(source: Mapping[str, object], fields: Sequence[DocumentField]) -> str:
    if len(fields) == 1 and fields[0].label is None:
        return join_values(source, (fields[0].field,))
    return " ".join(filter(None, (_labelled(source, field) for field in fields)))


def _labelled(source: Mapping[str, object], field: DocumentField) -> str:
    """A field's text; with a label, the values are a sentence of their own."""
    values = list(_values(source, field.field))
    if field.label is None or not values:
        return " ".join(values)
    text = f"{field.label}: {', '.join(values)}"
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def _values(source: Mapping[str, object], name: str) -> Iterator[str]:
    """Yield every scalar under a dotted name as text, in the order of the source."""
    # Without recursion: a source may be nested deeper than Python's calls can be.
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
    """The values whose keys begin the name, each with the rest of the name."""
    if not name:
        return [(child, "") for child in value.values()]
    parts = name.split(".")
    heads = ((".".join(parts[:end]), ".".join(parts[end:])) for end in range(1, len(parts) + 1))
    return [(value[head], rest) for head, rest in heads if head in value]
