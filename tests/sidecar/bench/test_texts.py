"""Documents without end: new texts, of the sample's words and lengths."""

from __future__ import annotations

from itertools import islice
from statistics import mean

from pipelines.documents import Document
from pipelines.passages import split_document
from pipelines.sentence_passages import SentencePassages
from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, SampleDocument, read_collection

COLLECTION = read_collection(SAMPLE)


def test_the_samples_own_documents_come_first() -> None:
    first = islice(endless_documents(COLLECTION), len(COLLECTION.documents))
    assert tuple(first) == COLLECTION.documents


def test_no_passage_comes_twice_and_lengths_stay() -> None:
    whole = list(islice(endless_documents(COLLECTION), 3 * len(COLLECTION.documents)))
    own, mixed = whole[: len(COLLECTION.documents)], whole[len(COLLECTION.documents) :]
    assert len({document.id for document in whole}) == len(whole)

    def passages(documents: list[SampleDocument]) -> list[str]:
        return [
            passage.text
            for document in documents
            for passage in split_document(
                Document(0, document.title, document.text, 1.0, None),
                SentencePassages(),
            )
        ]

    before, after = passages(own), passages(mixed)
    assert len({*before, *after}) == len(before) + len(after)
    words = [mean(len(one.text.split()) for one in documents) for documents in (own, mixed)]
    assert 0.8 < words[1] / words[0] < 1.3
