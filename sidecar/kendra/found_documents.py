"""OpenSearch's answer as documents: id, title, text, address and the values of attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.documents import join_values, replace_surrogates
from pipelines.hits import Hit
from sidecar.config_kendra import KendraIndex
from sidecar.kendra.served_index import GROUP, ServedIndex

ANSWERS = "answers"
"""Name of the part of a query that says whether answers may come from a document."""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """One document; `number` is its place in OpenSearch's order.

    `body` is the text that passages are cut from. `sort` and `fields` are as the hit has them:
    the values that it is sorted by, and doc values by field. `may_answer`: the filter lets
    answers come from it.
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
class Found:
    """The documents of one answer, in its order, and their hits for the core.

    `numbers` has the document's number of each hit. `size` counts the characters of all texts.
    `index`: the OpenSearch index of the first hit, as an alias may be of several.
    """

    documents: tuple[FoundDocument, ...]
    hits: tuple[Hit, ...]
    numbers: tuple[int, ...]
    size: int
    index: str | None


def source_fields(index: ServedIndex) -> list[str]:
    """The fields of `_source` that are read: shown, or read by the plan."""
    fields = index.settings.fields
    plan = index.plan
    named = [*fields.title, *fields.body, *filter(None, [fields.uri, plan.group_by])]
    return [name for name in dict.fromkeys([*named, *plan.document.names]) if name != GROUP]


def value_fields(index: KendraIndex) -> list[dict[str, Any]]:
    """The doc values that are read besides those of attributes: the document's id."""
    name = index.fields.document_id
    return [{"field": name}] if name else []


def read_found(answer: Mapping[str, Any], index: KendraIndex) -> Found:
    """Read the hits of an answer; those that share a document's id become one document."""
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
    found = answer["hits"]["hits"]
    return Found(documents, tuple(hits), tuple(places), size, found[0]["_index"] if found else None)


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
