"""Forty documents, some of which lack each attribute, in a real OpenSearch and in a plain list.

A test compares the answers of the two to the same question.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sidecar.config.kendra import KendraIndex
from tests.nodes.node import Node
from tests.running import request

NAME = "kendra-dsl"
FIRST = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
DAY = 86_400
DATE = "epoch_second||strict_date_optional_time"
MAPPING = {
    "properties": {
        "title": {"type": "text"},
        "body": {"type": "text"},
        "team": {"type": "keyword"},
        "tags": {"type": "keyword"},
        "views": {"type": "long"},
        "created": {"type": "date", "format": DATE},
        "changed": {"type": "date"},
        "page": {"type": "long"},
        "author": {"type": "keyword", "fields": {"text": {"type": "text"}}},
    }
}
INDEX = KendraIndex.model_validate(
    {
        "index": NAME,
        "fields": {"title": "title", "body": "body"},
        "attributes": {
            "_created_at": {"type": "DATE", "field": "created"},
            "_last_updated_at": {"type": "DATE", "field": "changed", "facetable": True},
            "_view_count": {"type": "LONG", "field": "views", "facetable": True},
            "Author": {
                "type": "STRING",
                "field": "author",
                "text_field": "author.text",
                "searchable": True,
            },
            "Team": {
                "type": "STRING",
                "field": "team",
                "facetable": True,
                "sortable": True,
                "searchable": True,
            },
            "Tags": {"type": "STRING_LIST", "field": "tags", "facetable": True},
        },
    }
)
LONG_TAG = "\u00e9" * 1500
"""A value that is longer than the bounds of a range may be."""

Row = dict[str, Any]


def make_row(number: int) -> Row:
    """A document. Every third lacks a team, every fourth the views, every fifth the dates."""
    row: Row = {
        "title": f"kettle {number}",
        "body": "copper handle" if number % 2 else "copper kettle and more words",
        "author": ["Ann Lee", "Ann Poe", "Bob Lee"][number % 3],
        "tags": [["new"], ["new", "hot"], ["hot", "new", "hot"], [], ["old"]][number % 5],
    }
    if number == 39:
        row["tags"] = [LONG_TAG]
    if number % 3:
        row["team"] = ["red", "Blue", "\U0001f600"][number % 4 % 3]
    if number % 4:
        row["views"] = number - 10
    if number % 5:
        row["created"] = FIRST + number * DAY
        row["changed"] = f"2020-01-{1 + number % 28:02}T00:00:00.{number:03}Z"
    return row


ROWS = {f"{number:02}": make_row(number) for number in range(40)}


def ask(node: Node, method: str, target: str, body: object = None) -> Any:
    response = request((node.host, node.port), method, target, body)
    assert response.status in (200, 201), response.body
    return json.loads(response.body)


@contextmanager
def loaded(node: Node) -> Iterator[Node]:
    """The node, with the documents in two shards."""
    settings = {"number_of_shards": 2, "number_of_replicas": 0}
    ask(node, "PUT", f"/{NAME}", {"settings": settings, "mappings": MAPPING})
    for key, row in ROWS.items():
        ask(node, "PUT", f"/{NAME}/_doc/{key}", row)
    ask(node, "POST", f"/{NAME}/_refresh")
    yield node
    ask(node, "DELETE", f"/{NAME}")


def search(node: Node, body: Mapping[str, Any]) -> Any:
    answer = ask(node, "POST", f"/{NAME}/_search", {"size": 100, "_source": False, **body})
    assert answer["_shards"]["failed"] == 0, answer["_shards"]
    return answer
