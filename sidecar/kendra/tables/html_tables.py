"""Reads tables in HTML.

End tags of cells, rows and tables may be missing, as HTML allows. A table within a cell is text of
that cell. Malformed markup ends a table early; no function raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

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
_TABLE = re.compile(r"<(?i:table)(?=[\s>])")
_TABLE_END = re.compile(r"</(?i:table)\s*>")
_SPAN = re.compile(r"[0-9]{1,4}")
_SECTIONS = ("thead", "tbody", "tfoot")
_HIDDEN = ("script", "style", "template")
# These tags separate words; other tags may stand within a word.
_BETWEEN_WORDS = frozenset(
    ("blockquote", "br", "caption", "dd", "div", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr")
    + ("li", "ol", "p", "pre", "table", "td", "th", "tr", "ul")
)


def read_html_tables(text: str) -> Iterator[Table]:
    """The tables of a text, in its order; at most 100,000 characters are read as tables."""
    opening = _TABLE.search(text)
    characters = 0
    while opening is not None and characters < MOST_CHARACTERS:
        reader = _TableReader(text, opening.start())
        at = opening.start()
        while not reader.ended and at < len(text) and characters < MOST_CHARACTERS:
            # In parts that end at `</table>`, so that little text behind this table is read.
            ending = _TABLE_END.search(text, at)
            upto = min(ending.end() if ending else len(text), at + MOST_CHARACTERS - characters)
            reader.read(text[at:upto])
            characters += upto - at
            at = upto
        table = reader.finish()
        yield table
        opening = _TABLE.search(text, max(table.end, opening.end()))


class _TableReader(HTMLParser):
    """Reads the table that begins at `start` of the text.

    A cell that spans several columns is followed by empty cells. A cell that spans several rows
    stands in each of them.
    """

    def __init__(self, text: str, start: int) -> None:
        super().__init__(convert_charrefs=True)
        self.ended = False
        """Whether the table has ended."""
        self._text = text
        self._start = self._end = start
        self._line, self._line_start = 1, start
        self._depth = 0
        self._in_head = False
        self._hidden = False
        self._caption: list[str] = []
        self._rows: list[Row] = []
        self._row_start: int | None = None
        self._cells: list[Cell] = []
        # The text of the open cell or caption.
        self._words: list[str] | None = None
        self._cell_header = False
        self._spans = (1, 1)
        # By column: a cell of a row above, and the number of further rows in which it stands.
        self._from_above: dict[int, tuple[int, Cell]] = {}

    def read(self, part: str) -> None:
        """Read the next part of the text."""
        try:
            self.feed(part)
        except (AssertionError, ValueError):
            # html.parser raises these for a broken declaration (`<![x[`) or `&#` with 5,000 digits.
            self.ended = True

    def finish(self) -> Table:
        """The part of the table that has been read."""
        self._close_row(None)
        end = max(self._end, self._rows[-1].end if self._rows else self._start)
        return Table(self._start, end, _clean(self._caption), tuple(self._rows))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a row, a cell or a caption.

        A table within a cell adds to the depth. A table elsewhere ends this one, whose end tag is
        missing.
        """
        if self.ended:
            return
        if tag in _HIDDEN:
            self._hidden = True
        if tag == "table":
            if self._depth and self._words is None:
                self._end_table(self._position())
                return
            self._depth += 1
        if self._depth == 1:
            if tag in ("td", "th"):
                self._open_cell(tag == "th" or self._in_head, dict(attrs))
                return
            if tag == "tr" or tag in _SECTIONS:
                self._close_row(self._position())
                self._in_head = tag == "thead" or (tag == "tr" and self._in_head)
                self._row_start = self._position() if tag == "tr" else None
                return
            if tag == "caption" and self._row_start is None:
                self._words = self._caption
        if self._words is not None and tag in _BETWEEN_WORDS:
            self._words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Close a cell, a row or the table, unless it is part of a table within a cell."""
        if self.ended:
            return
        if tag in _HIDDEN:
            self._hidden = False
        if tag == "table":
            self._depth -= 1
            if self._depth == 0:
                self._end_table(self._tag_end())
                return
        if self._depth == 1:
            if tag in ("td", "th", "caption"):
                self._close_cell()
            elif tag == "tr" or tag in _SECTIONS:
                self._close_row(self._tag_end() if tag == "tr" else self._position())
                self._in_head = self._in_head and tag == "tr"
        if self._words is not None and tag in _BETWEEN_WORDS:
            self._words.append(" ")

    def handle_data(self, data: str) -> None:
        """Add text to the open cell or caption. Text elsewhere in a table is dropped."""
        if not self.ended and not self._hidden and self._words is not None:
            self._words.append(data)

    def _open_cell(self, header: bool, attributes: dict[str, str | None]) -> None:
        self._close_cell()
        if self._row_start is None:
            self._row_start = self._position()
        self._words = []
        self._cell_header = header
        self._spans = (_span(attributes.get("colspan")), _span(attributes.get("rowspan")))

    def _close_cell(self) -> None:
        words, self._words = self._words, None
        if words is None or words is self._caption:
            return
        columns, rows = self._spans
        self._fill_from_above()
        cell = Cell(_clean(words), self._cell_header)
        beside = EMPTY_HEADER if self._cell_header else EMPTY
        for each in [cell, *[beside] * (columns - 1)][: MOST_COLUMNS - len(self._cells)]:
            if rows > 1:
                self._from_above[len(self._cells)] = (rows - 1, each)
            self._cells.append(each)

    def _close_row(self, end: int | None) -> None:
        """End the open row at a place of the text; None: at the tag that is being handled."""
        self._close_cell()
        if self._row_start is None:
            return
        self._fill_from_above()
        start, self._row_start = self._row_start, None
        cells, self._cells = tuple(self._cells), []
        if cells:
            source = self._text[start : self._position() if end is None else end].rstrip()
            self._rows.append(Row(start, start + len(source), cells))

    def _fill_from_above(self) -> None:
        while above := self._from_above.pop(len(self._cells), None):
            rows, cell = above
            if rows > 1:
                self._from_above[len(self._cells)] = (rows - 1, cell)
            self._cells.append(cell)

    def _end_table(self, end: int) -> None:
        self._close_row(end if self._depth else self._position())
        self._end = end
        self.ended = True

    def _position(self) -> int:
        """Where the tag that is being handled begins in the text."""
        line, column = self.getpos()
        while self._line < line:
            self._line_start = self._text.index("\n", self._line_start) + 1
            self._line += 1
        return self._line_start + column

    def _tag_end(self) -> int:
        return self._text.index(">", self._position()) + 1


def _span(value: str | None) -> int:
    """The value of `colspan` or `rowspan`: 1 if it is missing or malformed, and 64 at most."""
    match = _SPAN.fullmatch((value or "").strip())
    return min(max(int(match[0]), 1), MOST_COLUMNS) if match else 1


def _clean(words: list[str]) -> str:
    return " ".join("".join(words).split())
