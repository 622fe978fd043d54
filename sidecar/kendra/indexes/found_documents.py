"""OpenSearch's hits as documents: id, title, text, address and the values of attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.documents import join_values
from pipelines.hits import Hit
from pipelines.texts import replace_surrogates
from sidecar.config.kendra import KendraIndex
from sidecar.kendra.indexes.served_index import GROUP, ServedIndex

ANSWERS = "answers"
"""Name of the query clause that matches documents from which answers may come."""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """One document; `number` is its place in OpenSearch's order, from 0.

    `body` is the text from which passages are cut. `sort` and `fields` are those of the hit: its
    sort values, and its doc values by field. `may_answer`: answers may come from this document, by
    the attribute filter.
    """

    number: int
    id: str
    title: str
    body: str
    uri: str
    sort: tuple[object, ...]
    fields: Mapping[str, Sequence[Any]]
    may_answer: bool


@dataclass(frozen=True, slots=True)
class DocumentSet:
    """The documents of one answer, in OpenSearch's order, and their hits for the core.

    `numbers` are the document numbers of the hits. `size` is the number of characters in all
    titles and bodies. `index` is the OpenSearch index of the first hit, because an alias may have
    several; None without hits.
    """

    documents: tuple[FoundDocument, ...]
    hits: tuple[Hit, ...]
    numbers: tuple[int, ...]
    size: int
    index: str | None


def source_fields(index: ServedIndex) -> list[str]:
    """The fields of `_source` to fetch: those that replies show, and those that the plan reads."""
    fields = index.settings.fields
    plan = index.plan
    names = [*fields.title, *fields.body, *filter(None, [fields.uri, plan.group_by])]
    return [name for name in dict.fromkeys([*names, *plan.document.names]) if name != GROUP]


def value_fields(index: KendraIndex) -> list[dict[str, Any]]:
    """The doc values to fetch besides those of attributes: the document's id, if a field has it."""
    name = index.fields.document_id
    return [{"field": name}] if name else []


def read_document_set(answer: Mapping[str, Any], index: KendraIndex) -> DocumentSet:
    """Read the hits of an answer. With `shared_id`, hits with the same id become one document."""
    fields = index.fields
    numbers: dict[str, int] = {}
    members: list[list[tuple[Mapping[str, Any], str, str]]] = []
    hits: list[Hit] = []
    places: list[int] = []
    for position, hit in enumerate(answer["hits"]["hits"]):
        source = hit.get("_source") or {}
        title = _text(source, fields.title)
        body = _text(source, fields.body)
        key = _document_id(hit, fields.document_id)
        number = len(members)
        if fields.shared_id:
            number = numbers.setdefault(key, number)
        if number == len(members):
            members.append([])
        members[number].append((hit, title, body))
        places.append(number)
        score = hit.get("_score")
        hits.append(
            Hit(
                position,
                0.0 if score is None else float(score),
                {**source, GROUP: str(number)},
            )
        )
    documents = tuple(_read_document(number, parts, index) for number, parts in enumerate(members))
    size = sum(len(document.title) + len(document.body) for document in documents)
    first = next(iter(answer["hits"]["hits"]), None)
    return DocumentSet(
        documents, tuple(hits), tuple(places), size, first["_index"] if first else None
    )


def _read_document(
    number: int, parts: Sequence[tuple[Mapping[str, Any], str, str]], index: KendraIndex
) -> FoundDocument:
    hit, title, _ = parts[0]
    uri = index.fields.uri
    return FoundDocument(
        number=number,
        id=_document_id(hit, index.fields.document_id),
        title=title,
        body=" ".join(body for _, _, body in parts if body),
        uri=_text(hit.get("_source") or {}, (uri,)) if uri else "",
        sort=tuple(hit.get("sort", ())),
        fields=hit.get("fields", {}),
        may_answer=ANSWERS in hit.get("matched_queries", ()),
    )


def _document_id(hit: Mapping[str, Any], field: str | None) -> str:
    values = hit.get("fields", {}).get(field, ()) if field else ()
    return str(values[0] if values else hit["_id"])


def _text(source: Mapping[str, Any], names: Sequence[str]) -> str:
    return replace_surrogates(join_values(source, names))
