"""Tables in HTML: cells, ranges, spans, and malformed markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.tables.html_tables import read_html_tables
from sidecar.kendra.tables.tables import MOST_CHARACTERS, MOST_COLUMNS, Table


def only(text: str) -> Table:
    [table] = read_html_tables(text)
    return table


def cells(text: str) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in only(text).rows]


def headers(text: str) -> list[list[bool]]:
    return [[cell.header for cell in row.cells] for row in only(text).rows]


def test_cells_are_texts_without_markup() -> None:
    text = """<table>
      <tr><td>Bread &amp; <b>but</b>ter</td><td> 2,50&nbsp;&euro;
        only </td></tr>
      <tr><td>one<br>two<p>three</p></td><td><a href="x|y">link</a><script>no()</script></td></tr>
    </table>"""
    assert cells(text) == [
        ["Bread & butter", "2,50 \N{EURO SIGN} only"],
        ["one two three", "link"],
    ]


def test_tables_and_rows_have_their_ranges() -> None:
    source = '<TABLE class="wide">\n<tr><th>a</th>\n<th>b</th></tr>\n<tr><td>c<td>d\n</table>'
    text = f"<p>Before.</p>\n{source}\n<p>Behind.</p>"
    table = only(text)
    assert text[table.start : table.end] == source
    assert [text[row.start : row.end] for row in table.rows] == [
        "<tr><th>a</th>\n<th>b</th></tr>",
        "<tr><td>c<td>d",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<table><tr><th>a</th><th>b</th></tr><tr><td>c</td><td>d</td></tr></table>",
        "<table><tr><th>a<th>b<tr><td>c<td>d</table>",
        "<table><thead><tr><td>a<td>b</thead><tbody><td>c<td>d",
        "<table><thead><th>a<th>b<tbody><tr><td>c<td>d</tbody></table>",
    ],
)
def test_header_cells_however_the_tags_are_closed(text: str) -> None:
    assert cells(text) == [["a", "b"], ["c", "d"]]
    assert headers(text) == [[True, True], [False, False]]


def test_a_first_cell_may_be_the_rows_own_header() -> None:
    text = "<table><tr><td><th>2023<tr><th>Income<td>5</table>"
    assert headers(text) == [[False, True], [True, False]]
    table = only(text)
    assert table.header == table.rows[0]
    assert table.data == [table.rows[1]]


def test_of_several_rows_of_headers_the_last_names_the_columns() -> None:
    table = only(
        "<table><tr><th><th colspan=2>Year<tr><th>Name<th>2022<th>2023<tr><td>x<td>1<td>2</table>"
    )
    assert table.header == table.rows[1]
    assert [row.cells[0].text for row in table.data] == ["x"]


def test_a_cell_over_columns_is_followed_by_empty_ones() -> None:
    text = "<table><tr><th colspan=3>a<td>b<tr><td colspan='x'>c<td colspan=0>d</table>"
    assert cells(text) == [["a", "", "", "b"], ["c", "d"]]
    assert headers(text)[0] == [True, True, True, False]


def test_a_cell_over_rows_stands_in_each_of_them() -> None:
    text = """<table><tr><td rowspan=2>a<td>b<td rowspan=3>c
      <tr><td>d
      <tr><td>e<td>f
      <tr><td>g</table>"""
    assert cells(text) == [["a", "b", "c"], ["a", "d", "c"], ["e", "f", "c"], ["g"]]


def test_a_table_within_a_cell_is_text_of_the_cell() -> None:
    text = "<table><tr><td>a<table><tr><td>b<td>c</table>d<td>e</table> <table><td>f</table>"
    first, second = read_html_tables(text)
    assert [[cell.text for cell in row.cells] for row in first.rows] == [["a b c d", "e"]]
    assert text[second.start : second.end] == "<table><td>f</table>"


def test_a_table_that_is_not_closed_ends_where_the_next_begins() -> None:
    first, second = read_html_tables("<table><tr><td>a<td>b</tr> <table><tr><td>c<td>d</table>")
    assert [cell.text for cell in first.rows[0].cells] == ["a", "b"]
    assert [cell.text for cell in second.rows[0].cells] == ["c", "d"]


def test_a_caption_is_kept() -> None:
    assert only("<table><caption>Opening <i>hours</i></caption><td>a</table>").caption == (
        "Opening hours"
    )


def test_what_only_looks_like_a_table_is_none() -> None:
    assert not list(read_html_tables("a < table > <tablet> <tables> &lt;table>"))


def test_work_is_bounded() -> None:
    wide = "<tr>" + "<td colspan=999 rowspan=999>x" * 9
    [table] = read_html_tables(f"<table>{wide * 20_000}</table>")
    assert max(len(row.cells) for row in table.rows) == MOST_COLUMNS
    assert table.end <= MOST_CHARACTERS
    assert len(list(read_html_tables("<table><td>x</table>" * 20_000))) <= MOST_CHARACTERS // 20


@pytest.mark.parametrize("broken", ["<![x[ ]>", f"&#{'9' * 5000};", f"<td a='&#{'9' * 5000};'>"])
def test_what_the_parser_stumbles_over_ends_the_table(broken: str) -> None:
    assert cells(f"<table><tr><td>a<td>b</tr>{broken}<tr><td>c</table>")[0] == ["a", "b"]


_MARKUP = st.sampled_from(
    ["<table>", "</table>", "<tr>", "</tr>", "<td>", "<th colspan=2>", "<td rowspan=3>", "</td>"]
    + ["<thead>", "</thead>", "<caption>", "</caption>", "<script>", "</script>", "<!--", "-->"]
    + ["<![x[", "<![if x]>", "<?", "<!", "</", "<table ", "'", '"', ">", "<", "&amp", "&#9;", "\n"]
    + ["a", "|", "\x00", "\u2028", "<td/>", "<table/>", "<br>", "</x y='>'>", "<textarea>"]
)


@given(st.lists(_MARKUP, max_size=60).map("".join))
def test_anything_is_read_without_an_error(text: str) -> None:
    last = 0
    for table in read_html_tables(text):
        assert last <= table.start < table.end <= len(text) or not table.rows
        assert text[table.start : table.start + 6] == "<table"
        last = table.end
        places = [place for row in table.rows for place in (row.start, row.end)]
        assert places == sorted(places)
        assert all(table.start <= place <= table.end for place in places)
        for row in table.rows:
            assert row.cells
            assert all(cell.text == " ".join(cell.text.split()) for cell in row.cells)
