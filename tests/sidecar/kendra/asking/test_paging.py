"""PageNumber and PageSize: the results that a page contains."""

from typing import Any

import pytest

from sidecar.kendra.asking.paging import ResultPage, read_page
from tests.sidecar.kendra.example_index import refused

RESULTS = list(range(250))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ResultPage(0, 10)),
        ({"PageNumber": 3}, ResultPage(20, 10)),
        ({"PageSize": 25}, ResultPage(0, 25)),
        ({"PageNumber": 2, "PageSize": 100}, ResultPage(100, 100)),
        ({"PageSize": 101}, ResultPage(0, 100)),
        ({"PageSize": 1000, "PageNumber": 2}, ResultPage(100, 100)),
    ],
    ids=str,
)
def test_pages_count_from_one_and_have_at_most_a_hundred_results(
    members: dict[str, Any], expected: ResultPage
) -> None:
    assert read_page(members) == expected


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("member", ["PageNumber", "PageSize"])
def test_numbers_below_one_are_refused(member: str, number: int) -> None:
    path = member[0].lower() + member[1:]
    with refused(
        f"1 validation error detected: Value '{number}' at '{path}' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"
    ):
        read_page({member: number})


def test_paging_reaches_a_hundred_results() -> None:
    pages = [read_page({"PageNumber": number, "PageSize": 30}).cut(RESULTS) for number in (1, 4, 5)]
    assert pages == [list(range(30)), list(range(90, 100)), []]


def test_all_pages_together_have_each_result_once() -> None:
    pages = [read_page({"PageNumber": n, "PageSize": 7}).cut(RESULTS) for n in range(1, 20)]
    assert [item for page in pages for item in page] == RESULTS[:100]


def test_a_page_beyond_the_end_is_empty() -> None:
    assert read_page({"PageNumber": 2**31 - 1}).cut(RESULTS) == []
