"""Excerpts of tables: which rows and columns they show, and their form as text."""

from __future__ import annotations

from sidecar.kendra.answering.table_excerpts import TableExcerpt, cut_table_excerpt, telling_words
from sidecar.kendra.tables.tables import Cell
from sidecar.kendra.tables.text_tables import find_tables


def cut(body: str, query_text: str, best: list[int], column: int) -> list[list[str]]:
    """The excerpt's cells, with the best one in brackets; `best`: rows of data, best first."""
    [table] = find_tables(body)
    rows = [table.data[number] for number in best]
    excerpt = cut_table_excerpt(query_text, table, rows, column)
    shown = [[cell.text for cell in row] for row in excerpt.rows]
    row, place = excerpt.best
    shown[row][place] = f"[{shown[row][place]}]"
    return shown


WIDE = (
    "a | b | c | d | e | f | g\n-|-|-|-|-|-|-\n1 | 2 | 3 | 4 | 5 | 6 | 7\nx | x | x | x | x | y | z"
)


def test_columns_are_the_best_the_first_and_those_with_words_of_the_query() -> None:
    assert cut(WIDE, "f", [0], 6) == [["a", "b", "c", "f", "g"], ["1", "2", "3", "6", "[7]"]]
    assert cut(WIDE, "y 5", [1, 0], 3) == [
        ["a", "b", "d", "e", "f"],
        ["1", "2", "4", "5", "6"],
        ["x", "x", "[x]", "x", "y"],
    ]


def test_words_of_a_table_have_their_marks() -> None:
    assert telling_words("दिल्ली, the cafe\u0301") == {"दिल्ली", "cafe\u0301"}


def test_rows_come_in_the_tables_order_and_fill_missing_cells() -> None:
    body = "<table><tr><td>a<td>b<tr><td>c<tr><td>d<td>e<tr><td>f<td>g</table>"
    assert cut(body, "", [3, 1, 0, 2], 0) == [["a", "b"], ["c", ""], ["[f]", "g"]]


def test_names_as_long_as_paragraphs_are_not_shown() -> None:
    body = f"{'name ' * 300} | b\n-|-\n1 | 2"
    assert cut(body, "", [0], 1) == [["1", "[2]"]]


def test_text_of_an_excerpt_marks_its_best_cell() -> None:
    rows = ((Cell("a", True), Cell("")), (Cell("b"), Cell("c d")))
    for best_cell, expected in [((0, 0), "a"), ((0, 1), ""), ((1, 0), "b"), ((1, 1), "c d")]:
        text, start, end = TableExcerpt(rows, best_cell, 9).write()
        assert text == "a\t\nb\tc d"
        assert text[start:end] == expected
