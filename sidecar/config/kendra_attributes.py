"""What the main file may contain about one document attribute of a Kendra index.

Source: DocumentMetadataConfiguration and Relevance of the Amazon Kendra API (2019-02-03), and the
reserved fields of its developer guide.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.strict import FieldName, Strict

AttributeType = Literal["STRING", "STRING_LIST", "LONG", "DATE"]
RankOrder = Literal["ASCENDING", "DESCENDING"]
Importance = Annotated[int, Field(ge=1, le=10)]

RESERVED_TYPES: dict[str, AttributeType] = {
    "_authors": "STRING_LIST",
    "_category": "STRING",
    "_created_at": "DATE",
    "_data_source_id": "STRING",
    "_document_body": "STRING",
    "_document_id": "STRING",
    "_document_title": "STRING",
    "_email_id": "STRING",
    "_excerpt_page_number": "LONG",
    "_faq_id": "STRING",
    "_file_type": "STRING",
    "_language_code": "STRING",
    "_last_updated_at": "DATE",
    "_source_uri": "STRING",
    "_tenant_id": "STRING",
    "_version": "STRING",
    "_view_count": "LONG",
}
"""Kendra's own names begin with `_`; each has its type."""

ALWAYS_SORTABLE = frozenset(
    {"_category", "_created_at", "_last_updated_at", "_version", "_view_count"}
)


class AttributeRelevance(Strict):
    importance: Importance | None = None
    """How much the attribute counts, from 1 to 10; for text, the weight of its matches."""

    freshness: bool = False
    """`true` raises recent documents; only for one DATE attribute of an index."""

    duration: str | None = Field(default=None, pattern=r"^[0-9]{1,9}s$")
    """Maximum age of a fresh document, such as `7884000s`; three months if omitted."""

    rank_order: RankOrder | None = None
    """For LONG and DATE: `ASCENDING` raises large or late values, `DESCENDING` small or early
    ones."""

    value_importance_map: dict[Annotated[str, Field(min_length=1, max_length=50)], Importance] = (
        Field(default={})
    )
    """For STRING and STRING_LIST: how much a document with this value gains, from 1 to 10."""


class Attribute(Strict):
    type: AttributeType
    """Type of the values; in requests and replies, DATE has a resolution of one second."""

    field: FieldName | None = None
    """OpenSearch field with the exact values (`keyword`, `long`, `date`); the field with the
    attribute's name if omitted."""

    text_field: FieldName | None = None
    """Analysed field (`text`) for searches of a searchable attribute; `field` if omitted."""

    facetable: bool = False
    """Whether facets may count its values."""

    searchable: bool = False
    """Whether query text is searched in it, and `name:value` may name it."""

    displayable: bool = True
    """Whether results show it. A DATE is shown only if this is set explicitly, because LangChain's
    retriever cannot read dates."""

    sortable: bool = False
    """Whether results may be sorted by it and collapsed on it; not for STRING_LIST."""

    relevance: AttributeRelevance | None = None
    """Relevance tuning; if no attribute of the index has any, a request's overrides have no
    effect."""

    @property
    def is_shown(self) -> bool:
        """Whether results show it, according to `displayable` and the rule for dates."""
        return self.displayable and (self.type != "DATE" or "displayable" in self.model_fields_set)

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        relevance = self.relevance or AttributeRelevance()
        if self.sortable and self.type == "STRING_LIST":
            raise ValueError("a STRING_LIST cannot be sortable")
        if self.searchable and self.type in ("LONG", "DATE"):
            raise ValueError(f"a {self.type} cannot be searchable; use filters and ranges")
        if (relevance.freshness or relevance.duration) and self.type != "DATE":
            raise ValueError("freshness and duration are for a DATE")
        if relevance.duration and not relevance.freshness:
            raise ValueError("duration needs freshness: true")
        if relevance.rank_order and self.type not in ("LONG", "DATE"):
            raise ValueError("rank_order is for LONG and DATE")
        if relevance.value_importance_map and self.type not in ("STRING", "STRING_LIST"):
            raise ValueError("value_importance_map is for STRING and STRING_LIST")
        return self
