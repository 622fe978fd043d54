"""Starts a sidecar with the Kendra indexes of the collection, and boto3's client for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sidecar.models.scorers import Models
from tests.kendra.collection import FAQ_INDEX, INDEX
from tests.running import WORDS, Sidecar, running_sidecar

PAPERS = "11111111-2222-4333-8444-555555555555"
"""The index of the collection. Without user information, everything is visible."""

GUARDED = "22222222-2222-4333-8444-555555555555"
"""The same collection with the policy USER_TOKEN."""

UTF_16 = "33333333-2222-4333-8444-555555555555"
"""The same collection with highlights in UTF-16 units; no questions, featured sets or tuning."""

SECRET = "the secret that tokens are signed with, of 48 bytes or more"

_PLAN = {"deadline_ms": 20_000, "document": {"title": "heading", "body": "content"}}

_ATTRIBUTES: dict[str, Any] = {
    "_category": {
        "type": "STRING",
        "field": "meta.category",
        "text_field": "meta.category.text",
        "facetable": True,
        "searchable": True,
    },
    "_authors": {"type": "STRING_LIST", "field": "meta.authors", "facetable": True},
    "_created_at": {"type": "DATE", "field": "meta.created", "facetable": True},
    "_view_count": {"type": "LONG", "field": "meta.views", "facetable": True},
    "_language_code": {"type": "STRING", "field": "meta.language"},
    "_source_uri": {"type": "STRING", "field": "link"},
    "Lab": {"type": "STRING", "facetable": True, "sortable": True, "displayable": True},
}

INDEX_SETTINGS: dict[str, Any] = {
    "index": INDEX,
    "plan": "words",
    "fields": {"title": "heading", "body": "content", "uri": "link"},
    "attributes": _ATTRIBUTES,
    "spell_field": "content.spell",
}

FAQ_SETTINGS: dict[str, Any] = {
    "index": FAQ_INDEX,
    "attributes": ["_category"],
    "acl": True,
}

FEATURED: list[dict[str, Any]] = [
    {"queries": ["Best  kettle"], "documents": ["kettle-4", "secret-1", "secret-2", "kettle-1"]},
    {"queries": ["kettles"], "documents": ["kettle-1"], "active": False},
]


@dataclass(frozen=True, slots=True)
class Kendra:
    """The sidecar, the OpenSearch behind it, and a client."""

    sidecar: Sidecar
    upstream: str
    client: Any


@contextmanager
def serving_kendra(
    folder: Path,
    upstream: str,
    indexes: Mapping[str, Mapping[str, Any]] | None = None,
    models: Models | None = None,
    model: Mapping[str, str] = WORDS,
    section: Mapping[str, Any] | None = None,
    **plan: Any,
) -> Iterator[Kendra]:
    """Serve these indexes, or else those of this file. `section`: further keys of `apis.kendra`.
    `plan`: further keys of their plan.

    The model `words` is taken from `models`, or else configured by `model`.
    """
    tuned = {
        **_ATTRIBUTES,
        "_view_count": {**_ATTRIBUTES["_view_count"], "relevance": {"importance": 1}},
    }
    whole = indexes or {
        PAPERS: {
            **INDEX_SETTINGS,
            "attributes": tuned,
            "faq": FAQ_SETTINGS,
            "featured": FEATURED,
        },
        GUARDED: {
            **INDEX_SETTINGS,
            "faq": FAQ_SETTINGS,
            "featured": FEATURED,
            "user_context": {"policy": "USER_TOKEN", "tokens": {"secret": SECRET}},
        },
        UTF_16: {**INDEX_SETTINGS, "highlight_offsets": "utf_16"},
    }
    kendra = {"model_deadline_ms": 60_000, **(section or {})}
    apis = {"kendra": {**kendra, "indexes": {name: dict(index) for name, index in whole.items()}}}
    with running_sidecar(
        folder,
        upstream,
        {"words": {**_PLAN, **plan}},
        {INDEX: "words"},
        models,
        {"apis": apis, "models": {"words": dict(model)}},
    ) as sidecar:
        client = make_client(sidecar)
        try:
            yield Kendra(sidecar, upstream, client)
        finally:
            client.close()


def make_client(sidecar: Sidecar, **credentials: str) -> Any:
    """A boto3 client, created as applications create it."""
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", **credentials}
    return boto3.client(
        "kendra",
        endpoint_url=f"http://{sidecar.api}",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        **keys,
    )
