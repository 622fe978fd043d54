"""Featured results: the documents that the configuration puts first for certain queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.config_kendra import KendraIndex, fold_query
from sidecar.kendra.found_documents import FoundDocument, read_found, source_fields
from sidecar.kendra.schema import Dsl, write_value_fields
from sidecar.kendra.served_index import ServedIndex


def find_featured(index: KendraIndex, query_text: str) -> tuple[str, ...]:
    """The ids of the documents that this whole query features, in their order."""
    folded = fold_query(query_text)
    for featured in index.featured:
        if featured.active and folded in featured.queries:
            return tuple(dict.fromkeys(featured.documents))
    return ()


def write_featured_search(
    index: ServedIndex, ids: Sequence[str], filters: Sequence[Dsl], values: Sequence[Dsl]
) -> Dsl:
    """The body of the search for these documents; `filters` are those of the request itself."""
    fields = index.settings.fields
    name = fields.document_id
    wanted: Dsl = {"terms": {name: list(ids)}} if name else {"ids": {"values": list(ids)}}
    return {
        # Passages that share an id are one document.
        "size": 100 if fields.shared_id else len(ids),
        "query": {"bool": {"filter": [wanted, *filters]}},
        "_source": source_fields(index),
        **write_value_fields(values),
    }


def read_featured(
    answer: Mapping[str, Any], index: KendraIndex, ids: Sequence[str]
) -> list[FoundDocument]:
    """The documents of the answer, in the configured order."""
    found = {document.id: document for document in read_found(answer, index).documents}
    return [found[name] for name in ids if name in found]
