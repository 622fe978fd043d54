"""Passages and query texts of the bundled sample, cut as the shipped plan cuts them."""

from __future__ import annotations

from itertools import islice

from pipelines.documents import Document
from pipelines.passages import split_document
from pipelines.sentence_passages import SentencePassages
from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, read_collection


def query_texts() -> list[str]:
    return list(read_collection(SAMPLE).queries.values())


def passages(documents: int, each: int, skip: int = 0) -> list[str]:
    """`each` passages from each of `documents` documents; others are left out.

    `skip`: how many documents to leave out first, so that a round has texts of its own.
    """
    found: list[list[str]] = []
    for document in endless_documents(read_collection(SAMPLE)):
        whole = Document(0, document.title, document.text, 1.0, None)
        texts = [part.text for part in split_document(whole, SentencePassages())]
        if len(texts) >= each:
            found.append(texts[:each])
        if len(found) >= skip + documents:
            break
    return [text for texts in islice(found, skip, None) for text in texts]
