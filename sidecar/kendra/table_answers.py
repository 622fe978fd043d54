"""Table answers: the row of a table that answers best, with the cell that the query asks for.

The model reads each row with the names of its columns, as running text with markup says little to
it. Which cell is asked for is read off the names: of the cells that the query does not state
itself, the one that the model likes best beside the row's first cell.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.errors import RescoreError
from pipelines.lexical import count_words
from pipelines.scoring import Scorer
from pipelines.words import Words, different_words, read_words
from sidecar.kendra.confidence import calibrate
from sidecar.kendra.found_documents import FoundDocument
from sidecar.kendra.ranking import Ranking
from sidecar.kendra.served_index import ServedIndex
from sidecar.kendra.table_excerpts import (
    LONGEST_ROW,
    TableExcerpt,
    column_names,
    cut_table_excerpt,
    telling_words,
)
from sidecar.kendra.tables import Row, Table
from sidecar.kendra.text_tables import KnownTables, may_have_tables
from sidecar.opensearch.exchange import off_loop

# For a query the model reads so many rows of each of so many documents, then so many cells of the
# best row of each.
_DOCUMENTS = 5
_ROWS_READ = 6
_CELLS_READ = 8

_TITLE_CHARACTERS = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableAnswer:
    """The answer that a document's table gives, and how likely it is."""

    document: FoundDocument
    excerpt: TableExcerpt
    probability: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """A row that the model reads."""

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
    known: KnownTables,
    said: Mapping[int, int],
) -> list[TableAnswer]:
    """The answers from tables of these documents, which come best first: one a document.

    A table answers for its document where its best row is likelier than the best passage, or what
    would answer in that passage begins in it: `said` has these places, by the documents' numbers.
    It is of MEDIUM confidence at least; without the model there is none.
    """
    marked = [document for document in documents if may_have_tables(document.body)]
    if not marked:
        return []
    size = sum(len(document.body) for document in marked)
    readings = await off_loop(size, lambda: _choose_readings(query_text, marked, known))
    scores = await _score(index, query_text, [reading.text for reading in readings], scorer)
    read = [(score, r) for score, r in zip(scores, readings, strict=True) if score is not None]
    # Sorting is stable: of equal ones the earlier row.
    read.sort(key=lambda entry: -entry[0])
    by_document: dict[int, list[tuple[float, _Reading]]] = {}
    for entry in read:
        by_document.setdefault(entry[1].document.number, []).append(entry)
    chosen: list[tuple[float, list[_Reading]]] = []
    for entries in by_document.values():
        score, best = entries[0]
        likely = calibrate(score, _is_cosine(index), index.settings.confidence)
        likely = _answering(best, likely, ranking, said)
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
    query_text: str, documents: Iterable[FoundDocument], known: KnownTables
) -> list[_Reading]:
    """The rows worth reading: of the first documents with tables those that share most words."""
    wanted = different_words(query_text)
    chosen: list[_Reading] = []
    left = _DOCUMENTS
    for document in documents:
        rows: list[tuple[Table, Row]] = []
        words: list[Words] = []
        for table in known.find(document.body):
            names = read_words(" ".join([table.caption, *column_names(table)]))
            for row in table.data:
                if row.length <= LONGEST_ROW:
                    rows.append((table, row))
                    values = read_words(" ".join(cell.text for cell in row.cells))
                    words.append(np.concatenate([names, values]))
        if not rows:
            continue
        shares = count_words(wanted, words).bm25()
        best = sorted(range(len(rows)), key=lambda place: -shares[place])[:_ROWS_READ]
        for table, row in (rows[place] for place in sorted(best)):
            chosen.append(_Reading(document, table, row, _write_row(document.title, table, row)))
        left -= 1
        if not left:
            break
    return chosen


def _write_row(title: str, table: Table, row: Row) -> str:
    """A row as the model reads it: what the table is about, then names and values in turn.

    Colons and semicolons between them, or no names, made worse scores with all-MiniLM-L6-v2.
    """
    values = (cell.text for cell in row.cells)
    told = (f"{name} {value}" for name, value in zip(column_names(table), values, strict=False))
    about = [title[:_TITLE_CHARACTERS], table.caption[:_TITLE_CHARACTERS]]
    return " ".join(" ".join([*about, *told]).split())


def _answering(
    reading: _Reading, likely: float, ranking: Ranking, said: Mapping[int, int]
) -> float:
    """How likely the table's answer is; 0 where the document's best passage is the better one."""
    document, table = reading.document, reading.table
    passage = ranking.passages[document.number][0]
    if likely > passage.probability:
        return likely
    within = table.start <= said.get(document.number, -1) < table.end
    return passage.probability if within else 0.0


async def _choose_columns(
    index: ServedIndex, query_text: str, readings: Sequence[_Reading], scorer: Scorer
) -> list[int]:
    """The column of each row whose cell the query asks for."""
    asked = telling_words(query_text)
    among = [_columns_in_question(asked, reading) for reading in readings]
    texts = [
        " ".join([reading.row.cell(0).text, name, reading.row.cell(column).text])
        for reading, columns in zip(readings, among, strict=True)
        for column, name in columns.items()
    ]
    scores = iter(await _score(index, query_text, texts, scorer))
    chosen = []
    for columns in among:
        scored = {column: next(scores) for column in columns}
        whole = all(score is not None for score in scored.values())
        ratings = {
            column: score
            if whole and score is not None
            else len(asked & telling_words(columns[column]))
            for column, score in scored.items()
        }
        chosen.append(max(ratings, key=lambda column: ratings[column]))
    return chosen


def _columns_in_question(asked: frozenset[str], reading: _Reading) -> dict[int, str]:
    """The columns of a row that may hold what is asked for, with their names.

    A cell of which the query states half of the words or more is not what it asks for.
    """
    names = column_names(reading.table)
    filled = {column: cell.text for column, cell in enumerate(reading.row.cells) if cell.text}
    words = {column: telling_words(text) for column, text in filled.items()}
    unstated = [
        column for column, of in words.items() if not of or 2 * len(asked & of) < len(of)
    ] or list(filled)
    unstated.sort(key=lambda column: -len(asked & telling_words(names[column])))
    return {column: names[column] for column in sorted(unstated[:_CELLS_READ])}


async def _score(
    index: ServedIndex, query_text: str, texts: Sequence[str], scorer: Scorer
) -> Sequence[float | None]:
    try:
        if texts:
            return await scorer.score(index.plan.stages[-1].model, query_text, texts)
    except RescoreError as error:
        _log.info("tables without the model: %s", error.reason)
    return [None] * len(texts)


def _is_cosine(index: ServedIndex) -> bool:
    return index.plan.stages[-1].model in index.cosines
