"""Featured results: documents that the configuration puts first for certain queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.config.kendra import KendraIndex, fold_query
from sidecar.kendra.indexes.found_documents import (
    FoundDocument,
    read_document_set,
    source_fields,
)
from sidecar.kendra.indexes.schema import Dsl, write_value_fields
from sidecar.kendra.indexes.served_index import ServedIndex


def find_featured(index: KendraIndex, query_text: str) -> tuple[str, ...]:
    """The ids of the documents that are featured for this query text, in their order."""
    folded = fold_query(query_text)
    for featured in index.featured:
        if featured.active and folded in featured.queries:
            return tuple(dict.fromkeys(featured.documents))
    return ()


def write_featured_search(
    index: ServedIndex, ids: Sequence[str], filters: Sequence[Dsl], values: Sequence[Dsl]
) -> Dsl:
    """The body of the search for these documents, with the request's own `filters`.

    `values` are the doc values to read from the hits.
    """
    fields = index.settings.fields
    name = fields.document_id
    by_id: Dsl = {"terms": {name: list(ids)}} if name else {"ids": {"values": list(ids)}}
    return {
        # Hits that share an id are passages of one document.
        "size": 100 if fields.shared_id else len(ids),
        "query": {"bool": {"filter": [by_id, *filters]}},
        "_source": source_fields(index),
        **write_value_fields(values, index.settings),
    }


def read_featured(
    answer: Mapping[str, Any], index: KendraIndex, ids: Sequence[str]
) -> list[FoundDocument]:
    """The documents of the answer, in the configured order."""
    documents = {document.id: document for document in read_document_set(answer, index).documents}
    return [documents[name] for name in ids if name in documents]
