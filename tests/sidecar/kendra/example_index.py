"""The settings of a Kendra index with an attribute of every type, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.plan import Plan
from sidecar.aws.json import AwsError
from sidecar.config.kendra import KendraIndex
from sidecar.kendra.indexes.served_index import ServedIndex, adapt_plan
from sidecar.kendra.indexes.user_tokens import UserTokenReader

ATTRIBUTES: dict[str, dict[str, Any]] = {
    "_category": {"type": "STRING", "facetable": True, "searchable": True},
    "_created_at": {"type": "DATE", "field": "created", "facetable": True},
    "_excerpt_page_number": {"type": "LONG", "field": "page"},
    "_view_count": {"type": "LONG", "field": "views", "facetable": True},
    "Author": {"type": "STRING", "field": "author", "text_field": "author.text"},
    "Secret": {"type": "STRING", "field": "secret"},
    "Team": {"type": "STRING", "field": "team", "facetable": True, "sortable": True},
    "Tags": {"type": "STRING_LIST", "field": "tags", "facetable": True, "searchable": True},
}


def make_index(attributes: dict[str, dict[str, Any]] | None = None, **settings: Any) -> KendraIndex:
    """An index with the usual attributes and these."""
    merged = {**ATTRIBUTES, **(attributes or {})}
    merged["Author"] = {**merged["Author"], "searchable": True}
    return KendraIndex.model_validate(
        {
            "index": "documents",
            "fields": {"title": "title", "body": "body"},
            "attributes": merged,
            **settings,
        }
    )


def serve_index(index: KendraIndex, rescore_window: int = 50) -> ServedIndex:
    """The same index, served with a plan of one model."""
    plan = Plan.model_validate(
        {
            "document": {"body": "body"},
            "rescore_window": rescore_window,
            "stages": [{"model": "m"}],
        }
    )
    tokens = UserTokenReader(index.user_context.tokens, Path())
    return ServedIndex("id", index, adapt_plan(plan, index), frozenset(), None, tokens)


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Check that the block raises a ValidationException with exactly this message."""
    with pytest.raises(AwsError) as caught:
        yield
    assert (caught.value.name, caught.value.message) == ("ValidationException", message)
