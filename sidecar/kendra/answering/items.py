"""Writes the result items of a reply.

As in Kendra's own replies, some members are always there and may be empty; others may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sidecar.config.kendra import KendraIndex
from sidecar.kendra.answering.answer_sentences import cut_around
from sidecar.kendra.answering.answers import DocumentAnswer
from sidecar.kendra.answering.confidence import NOT_AVAILABLE, Bucket, bucket
from sidecar.kendra.answering.excerpts import RetrievedPassage
from sidecar.kendra.answering.faq_choice import FaqResult
from sidecar.kendra.answering.marking import Marker
from sidecar.kendra.answering.query_ids import QueryIds, result_id
from sidecar.kendra.answering.table_excerpts import TableExcerpt
from sidecar.kendra.indexes.found_documents import FoundDocument
from sidecar.kendra.indexes.schema import read_values, write_value
from sidecar.kendra.indexes.served_index import ServedIndex

ANSWER_CHARACTERS = 300
"""Maximum characters of an answer in its DocumentExcerpt."""

_LANGUAGE = "_language_code"
# The addresses that the service's model allows; clients turn them into links.
_ADDRESS = re.compile(r"(?:https?|ftp|file)://\S*")
_ADDRESS_LENGTH = 2048
# The best cell of a table is highlighted only in an answer of this confidence.
_HIGHLIGHTED = ("VERY_HIGH", "HIGH")

ResultItem = dict[str, Any]


# The time to write an item and an attribute of it, in characters of text that take as long.
_ITEM_COST = 500
_ATTRIBUTE_COST = 160


@dataclass(frozen=True, slots=True)
class ItemWriter:
    """Writes the items of one reply.

    `shown`: the attributes in each item, sorted by name. `rated`: whether items have a confidence;
    if not, it is NOT_AVAILABLE.
    """

    index: ServedIndex
    query_id: str
    ids: QueryIds
    shown: tuple[str, ...]
    rated: bool = True

    def rate(self, rated: bool) -> ItemWriter:
        """The same writer, for items with or without a confidence."""
        return replace(self, rated=rated)

    def document(
        self, document: FoundDocument, excerpt: str, probability: float | None, marker: Marker
    ) -> ResultItem:
        """A DOCUMENT item."""
        return {
            **self._result("DOCUMENT", document.id),
            "AdditionalAttributes": [],
            **self._document(document, marker.title(document.title), marker.body(excerpt)),
            **_scored(self.confidence(document, probability)),
        }

    def answer(self, answer: DocumentAnswer, marker: Marker, *, first: bool) -> ResultItem:
        """An ANSWER item. Only the first one of a reply can be a top answer.

        An answer from a table also has its rows as text, for clients that read only text.
        """
        document = answer.document
        confidence = self.confidence(document, answer.probability)
        top = first and confidence == "VERY_HIGH"
        span = marker.span(answer.text, answer.start, answer.end, top=top)
        cut = cut_around(answer.text, answer.start, answer.end, ANSWER_CHARACTERS)
        table: ResultItem = {}
        if answer.table is not None:
            table = _write_table(answer.table, highlighted=confidence in _HIGHLIGHTED, top=top)
        return {
            **self._result("ANSWER", document.id, str(answer.start)),
            **table,
            "AdditionalAttributes": [_text_attribute("AnswerText", span)],
            **self._document(document, marker.title(document.title), marker.span(cut, 0, len(cut))),
            **_scored(confidence),
        }

    def question(self, result: FaqResult, marker: Marker) -> ResultItem:
        """A QUESTION_ANSWER item."""
        entry = result.entry
        cut = entry.answer[:ANSWER_CHARACTERS]
        return {
            **self._result("QUESTION_ANSWER", entry.id),
            "AdditionalAttributes": [
                _text_attribute("QuestionText", marker.body(entry.question)),
                _text_attribute("AnswerText", marker.plain(entry.answer)),
            ],
            "DocumentId": entry.id,
            "DocumentTitle": {"Text": ""},
            "DocumentExcerpt": marker.span(cut, 0, len(cut)),
            "DocumentURI": _address(entry.uri),
            "DocumentAttributes": [],
            **_scored(self._bucket(result.probability)),
        }

    def featured(self, document: FoundDocument, excerpt: str, marker: Marker) -> ResultItem:
        """A featured result, which has neither a format nor a confidence."""
        item = self.document(document, excerpt, None, marker)
        return {
            name: value for name, value in item.items() if name not in ("Format", "ScoreAttributes")
        }

    def expanded(self, document: FoundDocument, excerpt: str, marker: Marker) -> ResultItem:
        """A further document of a collapsed result, below the primary one."""
        return {
            "Id": self._result("DOCUMENT", document.id)["Id"],
            **self._document(document, marker.title(document.title), marker.body(excerpt)),
        }

    def passage(self, document: FoundDocument, passage: RetrievedPassage) -> ResultItem:
        """An item of Retrieve. Its texts are plain strings."""
        return {
            "Id": result_id(self.query_id, "PASSAGE", document.id, str(passage.start)),
            "DocumentId": document.id,
            "DocumentTitle": document.title,
            "Content": passage.text,
            "DocumentURI": _address(document.uri),
            "DocumentAttributes": self.attributes(document),
            **_scored(self.confidence(document, passage.probability)),
        }

    def confidence(self, document: FoundDocument, probability: float | None) -> Bucket:
        """The bucket of a document's probability.

        It is NOT_AVAILABLE if confidence is not calibrated for the document's language.
        """
        settings = self.index.settings
        languages: Sequence[str | int] = ()
        if _LANGUAGE in settings.attributes:
            languages = read_values(settings, _LANGUAGE, document.fields)
        language = languages[0] if languages else settings.language
        if language not in settings.confidence.languages:
            return NOT_AVAILABLE
        return self._bucket(probability)

    def size(self, count: int) -> int:
        """The time to write `count` items, in characters of text that take as long."""
        return count * (_ITEM_COST + _ATTRIBUTE_COST * len(self.shown))

    def attributes(self, document: FoundDocument) -> list[ResultItem]:
        """The document's attributes that are shown; attributes without a value are left out."""
        settings = self.index.settings
        written = []
        for name in self.shown:
            values = read_values(settings, name, document.fields)
            if values:
                written.append({"Key": name, "Value": _write_values(settings, name, values)})
        return written

    def _bucket(self, probability: float | None) -> Bucket:
        return bucket(probability if self.rated else None, self.index.settings.confidence)

    def _result(self, kind: str, document_id: str, place: str = "") -> ResultItem:
        name = result_id(self.query_id, kind, document_id, place)
        return {
            "Id": name,
            "Type": kind,
            "Format": "TEXT",
            "FeedbackToken": self.ids.feedback_token(name),
        }

    def _document(
        self, document: FoundDocument, title: ResultItem, excerpt: ResultItem
    ) -> ResultItem:
        return {
            "DocumentId": document.id,
            "DocumentTitle": title,
            "DocumentExcerpt": excerpt,
            "DocumentURI": _address(document.uri),
            "DocumentAttributes": self.attributes(document),
        }


def _write_values(index: KendraIndex, name: str, values: Sequence[str | int]) -> ResultItem:
    attribute = index.attributes[name]
    if attribute.type == "STRING_LIST":
        return {"StringListValue": list(values)}
    return write_value(attribute, values[0])


def _address(text: str) -> str:
    """The address, or an empty text if the API does not allow it."""
    fits = len(text) <= _ADDRESS_LENGTH and _ADDRESS.fullmatch(text)
    return text if fits else ""


def _text_attribute(key: str, text: ResultItem) -> ResultItem:
    return {
        "Key": key,
        "ValueType": "TEXT_WITH_HIGHLIGHTS_VALUE",
        "Value": {"TextWithHighlightsValue": text},
    }


def _write_table(excerpt: TableExcerpt, *, highlighted: bool, top: bool) -> ResultItem:
    """The members that only an answer from a table has.

    `highlighted`: its best cell is highlighted. `top`: its best cell is the top answer.
    """
    rows = [
        {
            "Cells": [
                {
                    "Value": cell.text,
                    "TopAnswer": top and (row, column) == excerpt.best,
                    "Highlighted": highlighted and (row, column) == excerpt.best,
                    "Header": cell.header,
                }
                for column, cell in enumerate(cells)
            ]
        }
        for row, cells in enumerate(excerpt.rows)
    ]
    return {"Format": "TABLE", "TableExcerpt": {"Rows": rows, "TotalNumberOfRows": excerpt.total}}


def _scored(confidence: Bucket) -> ResultItem:
    return {"ScoreAttributes": {"ScoreConfidence": confidence}}
