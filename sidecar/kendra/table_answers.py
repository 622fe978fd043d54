"""Table answers: the row of a table that answers best, with the cell that the query asks for.

The model reads each row with the names of its columns, as running text with markup says little to
it. Which cell is asked for is read off the names: of the cells that the query does not state
itself, the one that the model likes best beside the row's first cell.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.errors import RescoreError
from pipelines.kendra_text import STOP_WORDS
from pipelines.lexical import count_words
from pipelines.scoring import Scorer
from pipelines.words import Words, different_words, read_words
from sidecar.kendra.confidence import calibrate
from sidecar.kendra.found_documents import FoundDocument
from sidecar.kendra.ranking import Ranking
from sidecar.kendra.served_index import ServedIndex
from sidecar.kendra.tables import Cell, Row, Table
from sidecar.kendra.text_tables import find_tables, may_have_tables
from sidecar.opensearch.exchange import off_loop

MOST_ROWS = 3
"""Rows of an excerpt, the header's included."""

MOST_COLUMNS = 5
"""Columns of an excerpt."""

# For a query the model reads so many rows of each of so many documents, then so many cells of the
# best row of each.
_DOCUMENTS = 5
_ROWS_READ = 6
_CELLS_READ = 8

# Rows of more characters are paragraphs that a table puts into their places.
_LONGEST_ROW = 1_000
_TITLE_CHARACTERS = 100

_WORD = re.compile(r"\w+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableExcerpt:
    """Rows of a table, all with the same columns; `best` is row and column of the best cell.

    `total` counts the rows of the whole table.
    """

    rows: tuple[tuple[Cell, ...], ...]
    best: tuple[int, int]
    total: int

    def write(self) -> tuple[str, int, int]:
        """The rows as text, and where in it the best cell stands, half-open.

        Cells are parted by tabs and rows by line ends, as browsers copy a table.
        """
        lines = ["\t".join(cell.text for cell in row) for row in self.rows]
        row, column = self.best
        before = [*lines[:row], "".join(f"{cell.text}\t" for cell in self.rows[row][:column])]
        start = len("\n".join(before))
        return "\n".join(lines), start, start + len(self.rows[row][column].text)


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
    readings = await off_loop(size, lambda: _choose_readings(query_text, marked))
    scores = await _score(index, query_text, [reading.text for reading in readings], scorer)
    read = [(score, r) for score, r in zip(scores, readings, strict=True) if score is not None]
    # Sorting is stable: of equal ones the earlier row.
    read.sort(key=lambda entry: -entry[0])
    chosen: list[tuple[float, _Reading]] = []
    for score, reading in read:
        if all(reading.document is not other.document for _, other in chosen):
            likely = calibrate(score, _is_cosine(index), index.settings.confidence)
            chosen.append((_answering(reading, likely, ranking, said), reading))
    medium = index.settings.confidence.medium
    chosen = [(likely, reading) for likely, reading in chosen if likely >= medium]
    columns = await _choose_columns(index, query_text, [each for _, each in chosen], scorer)
    return [
        TableAnswer(
            reading.document,
            _cut_excerpt(
                query_text, reading, column, [each.row for _, each in read if each.table is table]
            ),
            likely,
        )
        for (likely, reading), column in zip(chosen, columns, strict=True)
        for table in [reading.table]
    ]


def _choose_readings(query_text: str, documents: Iterable[FoundDocument]) -> list[_Reading]:
    """The rows worth reading: of the first documents with tables those that share most words."""
    wanted = different_words(query_text)
    chosen: list[_Reading] = []
    left = _DOCUMENTS
    for document in documents:
        rows: list[tuple[Table, Row]] = []
        words: list[Words] = []
        for table in find_tables(document.body):
            names = read_words(" ".join([table.caption, *_names(table)]))
            for row in table.data:
                if _length(row) <= _LONGEST_ROW:
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
    told = (f"{name} {value}" for name, value in zip(_names(table), values, strict=False))
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
    asked = _telling(query_text)
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
            column: score if whole and score is not None else len(asked & _telling(columns[column]))
            for column, score in scored.items()
        }
        chosen.append(max(ratings, key=lambda column: ratings[column]))
    return chosen


def _columns_in_question(asked: frozenset[str], reading: _Reading) -> dict[int, str]:
    """The columns of a row that may hold what is asked for, with their names.

    A cell of which the query states half of the words or more is not what it asks for.
    """
    names = _names(reading.table)
    filled = {column: cell.text for column, cell in enumerate(reading.row.cells) if cell.text}
    words = {column: _telling(text) for column, text in filled.items()}
    unstated = [
        column for column, of in words.items() if not of or 2 * len(asked & of) < len(of)
    ] or list(filled)
    unstated.sort(key=lambda column: -len(asked & _telling(names[column])))
    return {column: names[column] for column in sorted(unstated[:_CELLS_READ])}


def _cut_excerpt(
    query_text: str, reading: _Reading, column: int, rows_by_score: Sequence[Row]
) -> TableExcerpt:
    """The excerpt around a cell: the header, the best rows in their order, and some columns."""
    table, asked = reading.table, _telling(query_text)
    header = table.header
    heading = [header] if header is not None and _length(header) <= _LONGEST_ROW else []
    best = sorted(rows_by_score[: MOST_ROWS - len(heading)], key=lambda row: row.start)
    rows = [*heading, *best]

    def shared(place: int) -> int:
        return len(asked & _telling(" ".join(row.cell(place).text for row in rows)))

    others = sorted(
        set(range(1, table.width)) - {column}, key=lambda place: (-shared(place), place)
    )
    shown = sorted([*dict.fromkeys([column, 0]), *others][:MOST_COLUMNS])
    return TableExcerpt(
        tuple(tuple(row.cell(place) for place in shown) for row in rows),
        (rows.index(reading.row), shown.index(column)),
        len(table.rows),
    )


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


def _names(table: Table) -> list[str]:
    """The names of all columns, empty ones where there is none."""
    header = table.header
    return [header.cell(column).text if header else "" for column in range(table.width)]


def _length(row: Row) -> int:
    return sum(len(cell.text) for cell in row.cells)


def _telling(text: str) -> frozenset[str]:
    """The words of a text in lower case, without stop words."""
    return frozenset(_WORD.findall(text.lower())) - STOP_WORDS
