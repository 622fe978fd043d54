"""Markdown's tables of pipes in a text, with their places, as GitHub reads them.

A header row, a delimiter row of as many cells, then rows. Other than there, a line without a pipe
ends the table, so that a remark right below is no row of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.kendra.tables import (
    EMPTY,
    EMPTY_HEADER,
    MOST_CHARACTERS,
    MOST_COLUMNS,
    Cell,
    Row,
    Table,
)

# One literal first: that is what makes it fast on texts without a table.
_DELIMITER = re.compile(r"\|[ \t]*:?-")
_DELIMITER_CELL = re.compile(r":?-+:?")
_LONGEST_LINE = 10_000
_PIPE = re.compile(r"(?<!\\)\|")


def read_markdown_tables(text: str) -> Iterator[Table]:
    """The tables in their order."""
    sign = _DELIMITER.search(text)
    while sign is not None:
        start, end = _line(text, sign.start())
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
        sign = _DELIMITER.search(text, at)


def _read_row(text: str, line: tuple[int, int], width: int, *, header: bool = False) -> Row | None:
    """The row on a line, None for a line without a pipe; missing cells are empty."""
    start, end = line
    source = text[start:end].strip() if end - start <= _LONGEST_LINE else ""
    if not width or not _PIPE.search(source):
        return None
    cells = [Cell(cell.replace("\\|", "|"), header) for cell in _split_row(source)]
    cells += [EMPTY_HEADER if header else EMPTY] * (width - len(cells))
    begin = text.index(source, start)
    return Row(begin, begin + len(source), tuple(cells[: min(width, MOST_COLUMNS)]))


def _split_row(line: str) -> list[str]:
    """The cells between a line's pipes; a pipe at either end is a border."""
    parts = [" ".join(part.split()) for part in _PIPE.split(line.strip())]
    first = 1 if len(parts) > 1 and not parts[0] else 0
    last = len(parts) - (1 if len(parts) > 1 and not parts[-1] else 0)
    return parts[first:last]


def _line(text: str, at: int) -> tuple[int, int]:
    """Where the line begins and ends, without its break, that a place is on."""
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end
