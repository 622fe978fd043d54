"""Finds the row of a table that answers the query best, and the cell that the query asks for.

The model reads each row together with the names of the columns, because it makes little of the
source text with markup. A cell whose words are in the query is not what the query asks for. The
model reads each other cell together with the row's first cell, and chooses one of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.errors import RescoreError
from pipelines.lexical import count_words
from pipelines.scoring import Scorer
from pipelines.words import Words, read_query_words, read_words
from sidecar.event_loop.off_loop import off_loop
from sidecar.kendra.answering.confidence import calibrate
from sidecar.kendra.answering.ranking import Ranking
from sidecar.kendra.answering.table_excerpts import (
    LONGEST_ROW,
    TableExcerpt,
    column_names,
    cut_table_excerpt,
    telling_words,
)
from sidecar.kendra.indexes.found_documents import FoundDocument
from sidecar.kendra.indexes.served_index import ServedIndex
from sidecar.kendra.tables.tables import Row, Table
from sidecar.kendra.tables.text_tables import KnownTables, may_have_tables

_DOCUMENTS = 5
"""Maximum documents whose tables the model reads for a query."""

_ROWS = 6
"""Maximum rows of each document that the model reads."""

_CELLS = 8
"""Maximum cells of each document's best row that the model reads."""

_TITLE_CHARACTERS = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableAnswer:
    """An answer from a table of a document. `probability`: that it is relevant."""

    document: FoundDocument
    excerpt: TableExcerpt
    probability: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """A row for the model to read; `text` is what it reads."""

    document: FoundDocument
    table: Table
    row: Row
    text: str


async def find_table_answers(
    index: ServedIndex,
    query_text: str,
    documents: Sequence[FoundDocument],
    ranking: Ranking,
    scorer: Scorer,
    known_tables: KnownTables,
    sentence_starts: Mapping[int, int],
) -> list[TableAnswer]:
    """The answers from tables of these documents, best first: at most one for each document.

    A table answers in place of a sentence if its best row is likelier than the document's best
    passage, or if the answer sentence begins within the table. `sentence_starts` holds where that
    sentence begins in the document's body, by the document's number. The confidence of an answer is
    at least MEDIUM. If the model has no time, there are no answers.
    """
    with_tables = [document for document in documents if may_have_tables(document.body)]
    if not with_tables:
        return []
    size = sum(len(document.body) for document in with_tables)
    readings = await off_loop(size, lambda: _choose_readings(query_text, with_tables, known_tables))
    scores = await _score(index, query_text, [reading.text for reading in readings], scorer)
    scored = [(score, r) for score, r in zip(scores, readings, strict=True) if score is not None]
    # Sorting is stable: of equal rows, the earlier one comes first.
    scored.sort(key=lambda entry: -entry[0])
    by_document: dict[int, list[tuple[float, _Reading]]] = {}
    for entry in scored:
        by_document.setdefault(entry[1].document.number, []).append(entry)
    chosen: list[tuple[float, list[_Reading]]] = []
    for entries in by_document.values():
        score, best = entries[0]
        likely = calibrate(score, _is_cosine(index), index.settings.confidence)
        likely = _answer_probability(best, likely, ranking, sentence_starts)
        if likely >= index.settings.confidence.medium:
            chosen.append((likely, [r for _, r in entries if r.table is best.table]))
    columns = await _choose_columns(index, query_text, [rows[0] for _, rows in chosen], scorer)
    return [
        TableAnswer(
            rows[0].document,
            cut_table_excerpt(query_text, rows[0].table, [each.row for each in rows], column),
            likely,
        )
        for (likely, rows), column in zip(chosen, columns, strict=True)
    ]


def _choose_readings(
    query_text: str, documents: Iterable[FoundDocument], known_tables: KnownTables
) -> list[_Reading]:
    """The rows for the model to read: those that share most words with the query.

    They are from the first documents that have tables.
    """
    query = read_query_words(query_text)
    chosen: list[_Reading] = []
    left = _DOCUMENTS
    for document in documents:
        rows: list[tuple[Table, Row]] = []
        words: list[Words] = []
        for table in known_tables.find(document.body):
            names = read_words(" ".join([table.caption, *column_names(table)]))
            for row in table.data:
                if row.length <= LONGEST_ROW:
                    rows.append((table, row))
                    values = read_words(" ".join(cell.text for cell in row.cells))
                    words.append(np.concatenate([names, values]))
        if not rows:
            continue
        shares = count_words(query, words).bm25()
        best = sorted(range(len(rows)), key=lambda place: -shares[place])[:_ROWS]
        for table, row in (rows[place] for place in sorted(best)):
            chosen.append(_Reading(document, table, row, _write_row(document.title, table, row)))
        left -= 1
        if not left:
            break
    return chosen


def _write_row(title: str, table: Table, row: Row) -> str:
    """A row as the model reads it: title and caption, then each column's name with its value.

    all-MiniLM-L6-v2 gave worse scores with colons and semicolons in between, and without names.
    """
    values = (cell.text for cell in row.cells)
    named_values = (
        f"{name} {value}" for name, value in zip(column_names(table), values, strict=False)
    )
    about = [title[:_TITLE_CHARACTERS], table.caption[:_TITLE_CHARACTERS]]
    return " ".join(" ".join([*about, *named_values]).split())


def _answer_probability(
    reading: _Reading, likely: float, ranking: Ranking, sentence_starts: Mapping[int, int]
) -> float:
    """The probability of the table's answer; 0 if the document's best passage answers better."""
    document, table = reading.document, reading.table
    passage = ranking.passages[document.number][0]
    if likely > passage.probability:
        return likely
    within = table.start <= sentence_starts.get(document.number, -1) < table.end
    return passage.probability if within else 0.0


async def _choose_columns(
    index: ServedIndex, query_text: str, readings: Sequence[_Reading], scorer: Scorer
) -> list[int]:
    """For each row, the column of the cell that the query asks for."""
    query = telling_words(query_text)
    choices = [_possible_columns(query, reading) for reading in readings]
    texts = [
        " ".join([reading.row.cell(0).text, name, reading.row.cell(column).text])
        for reading, columns in zip(readings, choices, strict=True)
        for column, name in columns.items()
    ]
    scores = iter(await _score(index, query_text, texts, scorer))
    chosen = []
    for columns in choices:
        scored = {column: next(scores) for column in columns}
        whole = all(score is not None for score in scored.values())
        ratings = {
            column: score
            if whole and score is not None
            else len(query & telling_words(columns[column]))
            for column, score in scored.items()
        }
        chosen.append(max(ratings, key=lambda column: ratings[column]))
    return chosen


def _possible_columns(query: frozenset[str], reading: _Reading) -> dict[int, str]:
    """The columns of a row that may hold what the query asks for, with their names.

    A cell is left out if half of its words or more are in the query.
    """
    names = column_names(reading.table)
    filled = {column: cell.text for column, cell in enumerate(reading.row.cells) if cell.text}
    words = {column: telling_words(text) for column, text in filled.items()}
    unstated = [
        column for column, of in words.items() if not of or 2 * len(query & of) < len(of)
    ] or list(filled)
    unstated.sort(key=lambda column: -len(query & telling_words(names[column])))
    return {column: names[column] for column in sorted(unstated[:_CELLS])}


async def _score(
    index: ServedIndex, query_text: str, texts: Sequence[str], scorer: Scorer
) -> Sequence[float | None]:
    try:
        if texts:
            return await scorer.score(index.plan.stages[-1].model, query_text, texts)
    except RescoreError as error:
        _log.info("the model could not read tables: %s", error.reason)
    return [None] * len(texts)


def _is_cosine(index: ServedIndex) -> bool:
    return index.plan.stages[-1].model in index.cosines
