"""Judged collections on disk: a folder each, with `corpus.jsonl.gz`, `queries.jsonl`, `qrels.tsv`.

The layout of BEIR: objects with `_id`, `title` and `text` a line; a header line in the qrels.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.evaluation.judgments import read_judgments

MOST_QUERIES = 500
_SEED = 2026


@dataclass(frozen=True, slots=True)
class JudgedCollection:
    """A collection; `texts` and `qrels` by query id, for the queries that are measured."""

    name: str
    folder: Path
    texts: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, float]]
    all_queries: int

    def documents(self) -> Iterator[dict[str, Any]]:
        """All documents, in an order that says nothing about relevance.

        OpenSearch breaks ties by the order of indexing, and in many files the relevant
        documents stand together, or first.
        """
        with gzip.open(self.folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
            documents = [json.loads(line) for line in lines]
        yield from sorted(
            documents, key=lambda document: hashlib.sha256(document["_id"].encode()).digest()
        )


def read_collections(folder: Path) -> list[JudgedCollection]:
    """Every collection in a folder, by name.

    Queries without a relevant document are left out. If there are more than `MOST_QUERIES`, a
    fixed-seed sample of that size is used. Raises FileNotFoundError if there is no collection.
    """
    found = sorted(path.parent for path in folder.glob("*/qrels.tsv"))
    if not found:
        raise FileNotFoundError(f"{folder} has no folder with corpus, queries and qrels.tsv")
    return [_read(path) for path in found]


def _read(folder: Path) -> JudgedCollection:
    grades = read_judgments(folder / "qrels.tsv").grades
    queries = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    texts = {
        query["_id"]: query["text"]
        for query in queries
        if any(grade > 0 for grade in grades.get(query["_id"], {}).values())
    }
    chosen = list(texts)
    if len(chosen) > MOST_QUERIES:
        chosen = random.Random(_SEED).sample(chosen, MOST_QUERIES)  # noqa: S311  the same each time
    return JudgedCollection(
        folder.name,
        folder,
        {query: texts[query] for query in chosen},
        {query: grades[query] for query in chosen},
        len(texts),
    )
