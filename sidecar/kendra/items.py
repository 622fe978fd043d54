"""Result items as the API has them.

Which members an item has, and which are empty rather than absent, is as in Kendra's own replies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.config_kendra import KendraIndex
from sidecar.kendra.answers import Answer
from sidecar.kendra.confidence import NOT_AVAILABLE, Bucket, bucket
from sidecar.kendra.excerpts import RetrievedPassage
from sidecar.kendra.faq import FaqResult
from sidecar.kendra.found_documents import FoundDocument
from sidecar.kendra.marking import Marker
from sidecar.kendra.query_ids import QueryIds, result_id
from sidecar.kendra.schema import read_values, write_value
from sidecar.kendra.served_index import ServedIndex
from sidecar.kendra.table_excerpts import TableExcerpt

ANSWER_CHARACTERS = 300
"""Characters of an answer that its DocumentExcerpt shows."""

_LANGUAGE = "_language_code"
# What the service's model allows of an address; clients make links of it.
_ADDRESS = re.compile(r"(?:https?|ftp|file)://\S*")
_ADDRESS_LENGTH = 2048
# A table's cell of less confidence is shown without a highlight.
_MARKED = ("VERY_HIGH", "HIGH")

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ItemWriter:
    """Writes the items of one reply. `shown`: the attributes that they have, sorted by name."""

    index: ServedIndex
    query_id: str
    ids: QueryIds
    shown: tuple[str, ...]

    def document(
        self, document: FoundDocument, excerpt: str, probability: float | None, marker: Marker
    ) -> Item:
        """A DOCUMENT."""
        return {
            **self._result("DOCUMENT", document.id),
            "AdditionalAttributes": [],
            **self._document(document, marker.title(document.title), marker.body(excerpt)),
            **_scored(self.confidence(document, probability)),
        }

    def answer(self, answer: Answer, marker: Marker, *, first: bool) -> Item:
        """An ANSWER; only the first of a query may be a top answer.

        One from a table has its rows as text too, for clients that read nothing else.
        """
        document = answer.document
        confidence = self.confidence(document, answer.probability)
        top = first and confidence == "VERY_HIGH"
        span = marker.span(answer.text, answer.start, answer.end, top=top)
        cut = answer.text[:ANSWER_CHARACTERS]
        table: Item = {}
        if answer.table is not None:
            table = _write_table(answer.table, marked=confidence in _MARKED, top=top)
        return {
            **self._result("ANSWER", document.id, str(answer.start)),
            **table,
            "AdditionalAttributes": [_text_attribute("AnswerText", span)],
            **self._document(document, marker.title(document.title), marker.span(cut, 0, len(cut))),
            **_scored(confidence),
        }

    def question(self, result: FaqResult, marker: Marker) -> Item:
        """A QUESTION_ANSWER."""
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
            **_scored(bucket(result.probability, self.index.settings.confidence)),
        }

    def featured(self, document: FoundDocument, excerpt: str, marker: Marker) -> Item:
        """A featured result, which has neither a format nor a confidence."""
        item = self.document(document, excerpt, None, marker)
        return {
            name: value for name, value in item.items() if name not in ("Format", "ScoreAttributes")
        }

    def expanded(self, document: FoundDocument, excerpt: str, marker: Marker) -> Item:
        """A result under the primary one of its group."""
        return {
            "Id": self._result("DOCUMENT", document.id)["Id"],
            **self._document(document, marker.title(document.title), marker.body(excerpt)),
        }

    def passage(self, document: FoundDocument, passage: RetrievedPassage) -> Item:
        """A passage of Retrieve, whose texts are plain strings."""
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
        """The bucket of a document's probability, if the model is calibrated for its language."""
        settings = self.index.settings
        languages: Sequence[str | int] = ()
        if _LANGUAGE in settings.attributes:
            languages = read_values(settings, _LANGUAGE, document.fields)
        language = languages[0] if languages else settings.language
        if language not in settings.confidence.languages:
            return NOT_AVAILABLE
        return bucket(probability, settings.confidence)

    def attributes(self, document: FoundDocument) -> list[Item]:
        """The document's attributes that are shown; those without a value are left out."""
        settings = self.index.settings
        written = []
        for name in self.shown:
            values = read_values(settings, name, document.fields)
            if values:
                written.append({"Key": name, "Value": _write_values(settings, name, values)})
        return written

    def _result(self, kind: str, document_id: str, place: str = "") -> Item:
        name = result_id(self.query_id, kind, document_id, place)
        return {
            "Id": name,
            "Type": kind,
            "Format": "TEXT",
            "FeedbackToken": self.ids.feedback_token(name),
        }

    def _document(self, document: FoundDocument, title: Item, excerpt: Item) -> Item:
        return {
            "DocumentId": document.id,
            "DocumentTitle": title,
            "DocumentExcerpt": excerpt,
            "DocumentURI": _address(document.uri),
            "DocumentAttributes": self.attributes(document),
        }


def _write_values(index: KendraIndex, name: str, values: Sequence[str | int]) -> Item:
    attribute = index.attributes[name]
    if attribute.type == "STRING_LIST":
        return {"StringListValue": list(values)}
    return write_value(attribute, values[0])


def _address(text: str) -> str:
    """The address if it is one that Kendra has, else none."""
    fits = len(text) <= _ADDRESS_LENGTH and _ADDRESS.fullmatch(text)
    return text if fits else ""


def _text_attribute(key: str, text: Item) -> Item:
    return {
        "Key": key,
        "ValueType": "TEXT_WITH_HIGHLIGHTS_VALUE",
        "Value": {"TextWithHighlightsValue": text},
    }


def _write_table(excerpt: TableExcerpt, *, marked: bool, top: bool) -> Item:
    """What an answer from a table has besides; `marked`: its best cell is highlighted."""
    rows = [
        {
            "Cells": [
                {
                    "Value": cell.text,
                    "TopAnswer": top and (row, column) == excerpt.best,
                    "Highlighted": marked and (row, column) == excerpt.best,
                    "Header": cell.header,
                }
                for column, cell in enumerate(cells)
            ]
        }
        for row, cells in enumerate(excerpt.rows)
    ]
    return {"Format": "TABLE", "TableExcerpt": {"Rows": rows, "TotalNumberOfRows": excerpt.total}}


def _scored(confidence: Bucket) -> Item:
    return {"ScoreAttributes": {"ScoreConfidence": confidence}}
