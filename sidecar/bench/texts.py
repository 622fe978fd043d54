"""An endless supply of documents, made of the bundled sample's sentences.

The sample has a thousand abstracts, but a measurement may need many more passages that no model
has read. So each further document takes every other sentence from another abstract. Lengths and
words stay those of real texts, and every passage is new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count, zip_longest

from sidecar.demo.collection import Collection, SampleDocument

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def endless_documents(collection: Collection) -> Iterator[SampleDocument]:
    """The collection's own documents first, then mixtures; no two have the same text."""
    yield from collection.documents
    titles = [document.title for document in collection.documents]
    sentences = [_SENTENCE_END.split(document.text) for document in collection.documents]
    for shift in count(1):
        other = shift % len(sentences)
        for number, own in enumerate(sentences):
            guest = sentences[(number + other) % len(sentences)]
            mixed = [
                own_one if place % 2 == 0 else guest_one
                for place, (own_one, guest_one) in enumerate(zip_longest(own, guest, fillvalue=""))
            ]
            text = " ".join(filter(None, mixed))
            # The number makes the documents of each round different.
            yield SampleDocument(f"{number}-{shift}", f"{titles[number]} ({shift})", text)
