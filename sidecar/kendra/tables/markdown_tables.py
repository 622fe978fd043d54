"""Reads tables in Markdown, as GitHub does.

A table is a header row, a delimiter row with the same number of cells, and rows of data. There is
one difference: a line without a pipe ends the table, so that a remark right below it is not a row.
Source: GitHub Flavored Markdown, tables (an extension).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.kendra.tables.tables import (
    EMPTY,
    EMPTY_HEADER,
    MOST_CHARACTERS,
    MOST_COLUMNS,
    Cell,
    Row,
    Table,
)

# The pattern begins with a literal character, so the search is fast on texts without a table.
_DELIMITER = re.compile(r"\|[ \t]*:?-")
_DELIMITER_CELL = re.compile(r":?-+:?")
_LONGEST_LINE = 10_000
_PIPE = re.compile(r"(?<!\\)\|")


def read_markdown_tables(text: str) -> Iterator[Table]:
    """The tables of a text, in its order."""
    delimiter = _DELIMITER.search(text)
    while delimiter is not None:
        start, end = _line(text, delimiter.start())
        above, width = _line(text, start - 1) if start else (0, 0), 0
        if end - start <= _LONGEST_LINE:
            delimiters = _split_row(text[start:end])
            if all(map(_DELIMITER_CELL.fullmatch, delimiters)):
                width = len(delimiters)
        header = _read_row(text, above, width, header=True)
        at = end
        if header is not None and len(_split_row(text[header.start : header.end])) == width:
            rows = [header]
            while at < len(text) and at - header.start < MOST_CHARACTERS:
                line = _line(text, at + 1)
                row = _read_row(text, line, width)
                if row is None:
                    break
                rows.append(row)
                at = line[1]
            yield Table(header.start, max(rows[-1].end, end), "", tuple(rows))
        delimiter = _DELIMITER.search(text, at)


def _read_row(text: str, line: tuple[int, int], width: int, *, header: bool = False) -> Row | None:
    """The row on a line; None if the line has no pipe. Cells that are missing become empty."""
    start, end = line
    source = text[start:end].strip() if end - start <= _LONGEST_LINE else ""
    if not width or not _PIPE.search(source):
        return None
    cells = [Cell(cell.replace("\\|", "|"), header) for cell in _split_row(source)]
    cells += [EMPTY_HEADER if header else EMPTY] * (width - len(cells))
    begin = text.index(source, start)
    return Row(begin, begin + len(source), tuple(cells[: min(width, MOST_COLUMNS)]))


def _split_row(line: str) -> list[str]:
    """The cells between the pipes of a line. A pipe at either end is a border."""
    parts = [" ".join(part.split()) for part in _PIPE.split(line.strip())]
    first = 1 if len(parts) > 1 and not parts[0] else 0
    last = len(parts) - (1 if len(parts) > 1 and not parts[-1] else 0)
    return parts[first:last]


def _line(text: str, at: int) -> tuple[int, int]:
    """Where the line around a place begins and ends; the line break is not part of it."""
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end
