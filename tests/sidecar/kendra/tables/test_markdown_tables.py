"""Tables in Markdown: what GitHub renders as a table, cell by cell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.tables.markdown_tables import read_markdown_tables

TABLE = """| Item | Price |
|------|------:|
| Tea  | 2     |
| Milk | 3     |"""


def rows(text: str) -> list[list[str]]:
    [table] = read_markdown_tables(text)
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_table_and_rows_have_their_places() -> None:
    text = f"Prices:\n\n{TABLE}\n\nAnd so on."
    [table] = read_markdown_tables(text)
    assert text[table.start : table.end] == TABLE
    assert [text[row.start : row.end] for row in table.rows] == [
        "| Item | Price |",
        "| Tea  | 2     |",
        "| Milk | 3     |",
    ]
    assert [[cell.header for cell in row.cells] for row in table.rows] == [
        [True, True],
        [False, False],
        [False, False],
    ]
    assert table.header == table.rows[0]
    assert table.data == list(table.rows[1:])


@pytest.mark.parametrize(
    "text",
    [
        "Item | Price\n--- | ---\nTea | 2",
        "Item | Price\r\n:-|-:\r\nTea | 2\r\n",
        "  | Item | Price |\n  |:-:|---|\n  | Tea | 2",
        "| Item | Price\n|-|-\n|Tea|2|more",
    ],
)
def test_pipes_at_the_ends_and_blanks_do_not_matter(text: str) -> None:
    assert rows(text) == [["Item", "Price"], ["Tea", "2"]]


def test_missing_cells_are_empty_and_further_ones_are_left_out() -> None:
    assert rows("a | b | c\n-|-|-\n1\\|2 |\n1 | 2 | 3 | 4") == [
        ["a", "b", "c"],
        ["1|2", "", ""],
        ["1", "2", "3"],
    ]


def test_a_line_without_a_pipe_ends_the_table() -> None:
    assert rows(f"{TABLE}\nSource: the kitchen.\n| x | y |")[-1] == ["Milk", "3"]


@pytest.mark.parametrize(
    "text",
    [
        "a | b\n--- | --- | ---\n1 | 2",
        "a | b | c\n--- | ---\n1 | 2",
        "| --- | --- |\n| 1 | 2 |",
        "a b\n|---|\n| 1 |",
        "a | b\n- | x\n1 | 2",
        "a | b |- c\n1 | 2",
        "a || b\n\n|-|-|\n",
        "ls | grep x\nsort |- uniq",
    ],
)
def test_what_is_no_table(text: str) -> None:
    assert not list(read_markdown_tables(text))


def test_one_table_after_another() -> None:
    text = f"{TABLE}\n\n{TABLE.replace('Tea', 'Rum')}"
    first, second = read_markdown_tables(text)
    assert first.rows[1].cells[0].text == "Tea"
    assert second.rows[1].cells[0].text == "Rum"


@given(st.text(alphabet="|-: \n\\ab\r\t\u2028", max_size=120))
def test_anything_is_read_without_an_error(text: str) -> None:
    last = 0
    for table in read_markdown_tables(text):
        assert last <= table.start < table.end <= len(text)
        last = table.end
        assert len({len(row.cells) for row in table.rows}) == 1
        for row in table.rows:
            assert table.start <= row.start < row.end <= table.end
            assert "\n" not in text[row.start : row.end]
            for cell in row.cells:
                assert cell.text.replace("|", "\\|") in " ".join(text.split())
