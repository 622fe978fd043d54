"""The demo's index: its name, its mapping, and its searches."""

from __future__ import annotations

from typing import Any

INDEX = "rescore-demo"
MARK = {"made_by": "rescore-sidecar demo"}
"""`_meta` of the mapping. An index without it belongs to somebody else and is left alone."""


def index_body() -> dict[str, Any]:
    """Settings and mapping: English text in one shard."""
    text = {"type": "text", "analyzer": "english"}
    return {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "mappings": {"_meta": MARK, "properties": {"title": text, "text": text}},
    }


def search_body(query_text: str, size: int = 10) -> dict[str, Any]:
    """A search as an application would send it.

    Among the variants of `multi_match`, this one has the best original order on the sample, so the
    gain of rescoring is not measured against a weak search.
    """
    return {
        "query": {
            "multi_match": {
                "query": query_text,
                "fields": ["title", "text^3"],
                "type": "most_fields",
            }
        },
        "size": size,
    }
