"""docs/reach.md says what the product answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reach.__main__ import sidecars
from tests.reach.asking import Addresses, ask
from tests.reach.page import read_page
from tests.reach.rows import ROWS, Row
from tests.reach.upstream import recorded_upstream


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    with (
        recorded_upstream() as url,
        sidecars(tmp_path_factory.mktemp("reach"), url) as running,
    ):
        yield running


def test_the_page_has_every_row() -> None:
    assert len(ROWS) >= 40
    assert [row[:3] for row in read_page()] == [[row.what, row.client, row.where] for row in ROWS]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        pytest.param(row, cells, id=f"{number}-{row.target}")
        for number, (row, cells) in enumerate(zip(ROWS, read_page(), strict=True))
    ],
)
def test_the_last_column_is_what_the_product_answers(
    row: Row, cells: list[str], addresses: Addresses
) -> None:
    assert ask(row, addresses) == cells[4]
