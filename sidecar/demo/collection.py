"""A judged collection in BEIR's layout: documents, queries, and judgments."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parent.parent / "sample"


@dataclass(frozen=True, slots=True)
class SampleDocument:
    """One document of a collection, before it is indexed."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Collection:
    """`queries`: query texts by query id. `qrels`: grades by query id and document id."""

    documents: tuple[SampleDocument, ...]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]


def read_collection(folder: Path) -> Collection:
    """Read `corpus.jsonl.gz`, `queries.jsonl` and `qrels.tsv` (one header line) of a folder.

    Raises ValueError if a judgment names a query or document that does not exist.
    """
    documents = tuple(
        SampleDocument(entry["_id"], entry["title"], entry["text"])
        for entry in _entries(gzip.decompress((folder / "corpus.jsonl.gz").read_bytes()))
    )
    queries = {
        entry["_id"]: entry["text"] for entry in _entries((folder / "queries.jsonl").read_bytes())
    }
    qrels = _read_qrels(folder / "qrels.tsv")
    document_ids = {document.id for document in documents}
    for query, grades in qrels.items():
        if query not in queries:
            raise ValueError(f"{folder}: qrels.tsv judges query {query}, which does not exist")
        missing = sorted(grades.keys() - document_ids)
        if missing:
            raise ValueError(f"{folder}: qrels.tsv judges document {missing[0]}, not in the corpus")
    return Collection(documents, queries, qrels)


def _entries(lines: bytes) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in lines.splitlines() if line.strip())


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    return qrels
