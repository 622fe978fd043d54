"""Groups to passages: texts that are short enough for a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines.documents import Document
from pipelines.groups import Group
from pipelines.passage_methods import PassageMethod
from pipelines.words import Words, read_words

_new_tuple = tuple.__new__

# Only the beginning of a long title is compared with the query text word by word.
_TITLE_CHARACTERS = 1000


class Passage(NamedTuple):
    """A short run of text from one group.

    `group` is the group's index. `number` counts a group's passages from 0 in reading order.
    `text` is what a model reads; `body` is the same without the title, and empty for a document
    that has only a title. `words` are those of the body, `title_words` those of the title.
    `part` is 0 for fields that are read together; fields that are read separately count from 1,
    and their passages have the field's `weight`. `document` is the place in its group of the first
    document that has the text.
    """

    group: int
    number: int
    text: str
    body: str
    words: Words
    title_words: Words
    part: int = 0
    weight: float = 1.0
    document: int = 0


class SplitText(NamedTuple):
    """One passage of a document, with the fields of `Passage` that do not depend on the window."""

    text: str
    body: str
    words: Words
    title_words: Words
    part: int
    weight: float


SplitDocument = tuple[SplitText, ...]
"""The passages of one document in reading order: all the text that ranking reads."""

Splitter = Callable[[Document, PassageMethod, str | None], SplitDocument]
"""`split_document`, or a function that remembers its results."""


def split_document(
    document: Document, method: PassageMethod, language: str | None = None
) -> SplitDocument:
    """Cut one document into passages; the result depends on its texts and these settings alone.

    `language`: by whose rules their words become stems, as for `words.read_words`. A document
    without any text gives no passages. A text that occurs twice gives one.
    """
    # The first of equal texts wins; a dict keeps the order of insertion.
    texts: dict[str, tuple[str, int, float]] = {}
    for text, body in method.cut(document.title, document.body):
        texts.setdefault(text, (body, 0, 1.0))
    for number, part in enumerate(document.apart, start=1):
        title, body = (document.title, part.text) if part.titled else (part.text, "")
        for text, piece in method.cut(title, body):
            # A title that is the document's only text keeps its place, and gets its own weight.
            texts[text] = (piece, number, part.weight)
    words = read_words(document.title[:_TITLE_CHARACTERS], language)
    return tuple(
        SplitText(text, body, read_words(body, language), words, part, weight)
        for text, (body, part, weight) in texts.items()
    )


def split_passages(
    groups: Sequence[Group],
    method: PassageMethod,
    split: Splitter = split_document,
    language: str | None = None,
) -> list[Passage]:
    """Cut each group's documents into passages: groups in order, reading order within.

    A text that occurs twice in a group, as in variants of a product, gives one passage.
    """
    passages: list[Passage] = []
    for index, group in enumerate(groups):
        if len(group.documents) == 1:  # whose texts differ already
            # Without the checks of `Passage`, as a window has hundreds; the last is `document`.
            passages += [
                _new_tuple(Passage, (index, number, *passage, 0))
                for number, passage in enumerate(split(group.documents[0], method, language))
            ]
            continue
        texts: dict[str, tuple[SplitText, int]] = {}
        for place, document in enumerate(group.documents):
            for passage in split(document, method, language):
                texts.setdefault(passage.text, (passage, place))
        passages.extend(
            Passage(index, number, *passage, place)
            for number, (passage, place) in enumerate(texts.values())
        )
    return passages
