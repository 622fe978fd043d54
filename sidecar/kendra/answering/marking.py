"""Highlights the words of the query in titles, excerpts and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.config.kendra import KendraIndex, OffsetUnit
from sidecar.kendra.answering.highlights import (
    Highlight,
    find_highlights,
    find_marks,
    find_query_terms,
    write_text,
)
from sidecar.kendra.answering.word_terms import Analyze, WordTerms

Marks = Mapping[str, Sequence[Highlight]]


@dataclass(frozen=True, slots=True)
class Marker:
    """Highlights the words of one query, by the terms of the title's and the text's own field.

    Each method returns a TextWithHighlights of the API.
    """

    unit: OffsetUnit
    title_marks: Marks
    body_marks: Marks

    def title(self, text: str) -> dict[str, Any]:
        """A title with the query's words highlighted."""
        return write_text(text, find_highlights(text, self.title_marks), self.unit)

    def body(self, text: str) -> dict[str, Any]:
        """An excerpt with the query's words highlighted."""
        return write_text(text, find_highlights(text, self.body_marks), self.unit)

    def span(self, text: str, start: int, end: int, *, top: bool = False) -> dict[str, Any]:
        """A text with one range highlighted."""
        return write_text(text, [Highlight(start, end, "STANDARD")], self.unit, top)

    def plain(self, text: str) -> dict[str, Any]:
        """A text without highlights."""
        return write_text(text, [], self.unit)


async def learn_marker(
    index: KendraIndex,
    words: WordTerms,
    analyze: Analyze,
    query_text: str,
    titles: Sequence[str],
    bodies: Sequence[str],
) -> Marker:
    """The marker for a query, and for these titles and texts; without a query it marks nothing."""
    unit = index.highlight_offsets
    if not query_text:
        return Marker(unit, {}, {})

    async def learn(field: str, texts: Iterable[str]) -> Marks:
        terms = await words.learn(field, [query_text, *texts], analyze)
        return find_marks(terms, find_query_terms(query_text, terms))

    title = index.fields.title
    title_marks = await learn(title[0], titles) if title and any(titles) else {}
    return Marker(unit, title_marks, await learn(index.fields.body[0], bodies))
