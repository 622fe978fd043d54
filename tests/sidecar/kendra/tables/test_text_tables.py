"""Tables in HTML and in Markdown in one text, and the cache."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from sidecar.kendra.tables.tables import MOST_CHARACTERS
from sidecar.kendra.tables.text_tables import KnownTables, find_tables, may_have_tables

HTML = "<table><tr><th>a<th>b<tr><td>c<td>d</table>"
MARKDOWN = "| x | y |\n|---|---|\n| 1 | 2 |"


def test_tables_come_in_the_order_of_the_text() -> None:
    text = f"One.\n\n{MARKDOWN}\n\nTwo: {HTML}\n\n{MARKDOWN}\n"
    assert [text[table.start : table.end] for table in find_tables(text)] == [
        MARKDOWN,
        HTML,
        MARKDOWN,
    ]


def test_pipes_within_a_cell_are_no_table_of_their_own() -> None:
    text = f"<table><tr><td>a<td>\n{MARKDOWN}\n</table>"
    assert [text[table.start : table.end] for table in find_tables(text)] == [text]


def test_a_table_begun_on_a_row_of_pipes_takes_its_place() -> None:
    assert [table.rows[0].cells[0].text for table in find_tables(MARKDOWN + HTML)] == ["a"]


def test_lists_and_headers_alone_are_no_tables() -> None:
    assert not find_tables("<table><tr><td>one column<tr><td>more of it</table>")
    assert not find_tables("<table><tr><th>a<th>b</table>")
    assert not find_tables("| a | b |\n|---|---|\n")
    assert not find_tables("<table><tr><td> <td>&nbsp;</table>")


def test_only_the_first_characters_of_a_document_are_read() -> None:
    rows = "| 1 | 2 |\n" * 30_000
    text = f"{MARKDOWN}\n{rows}\n\n{MARKDOWN}\n"
    tables = find_tables(text)
    assert sum(table.end - table.start for table in tables) <= MOST_CHARACTERS


def test_texts_without_tables_cost_little() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 100_000
    started = time.perf_counter()
    assert not may_have_tables(text)
    assert not find_tables(text)
    assert time.perf_counter() - started < 0.5


def test_tables_are_cached_by_their_text() -> None:
    cache = KnownTables(most_characters=2 * len(HTML) + 1)
    first = cache.find(HTML)
    assert first == find_tables(HTML)
    again = "".join(list(HTML))
    assert cache.find(again) is first
    assert cache.find(again.replace("c", "x")) == find_tables(HTML.replace("c", "x"))
    assert cache.find(HTML) is first


def test_the_tables_used_longest_ago_are_forgotten() -> None:
    cache = KnownTables(most_characters=2 * len(HTML) + 1)
    first, other = cache.find(HTML), cache.find(HTML + " ")
    assert cache.find(HTML) is first
    cache.find(HTML.replace("c", "x"))
    assert cache.find(HTML) is first
    assert cache.find(HTML + " ") is not other
    large = HTML * 3
    assert cache.find(large) is not cache.find(large)


def test_texts_without_a_table_are_not_cached() -> None:
    cache = KnownTables(most_characters=len(HTML))
    first = cache.find(HTML)
    cache.find("a | b")
    assert cache.find(HTML) is first


@given(
    st.lists(
        st.sampled_from([HTML, MARKDOWN, "\n", "|", "<table>", "</table>", "-", "<td>", "a"]),
        max_size=25,
    ).map("".join)
)
def test_tables_do_not_overlap(text: str) -> None:
    tables = find_tables(text)
    places = [place for table in tables for place in (table.start, table.end)]
    assert places == sorted(places)
    assert not tables or may_have_tables(text)
    for table in tables:
        assert table.width > 1
        assert table.data
