"""The table of one plan: 80 columns, and every figure in it."""

from __future__ import annotations

import io

from rich.console import Console

from sidecar.bench.measuring import ModelSpeed, PlanFigures, SearchFigures
from sidecar.bench.report import print_plan, print_what_is_included

PLAN = PlanFigures(
    plan="products",
    window=10_000,
    per_group=3,
    deadline_ms=200,
    searches=(
        SearchFigures(
            "cold, 1 at a time", 12, 4.56, 201.5, 1203.25, 60_100.7, 0.25, {"partial": 12}
        ),
        SearchFigures(
            "warm, 128 at once", 123_456, 12_345.6, 3.2, 4.1, 9.9, 1.0, {"applied": 123_456}
        ),
    ),
    models=(
        ModelSpeed("minilm", "bi-encoder", 4000, 250.0),
        ModelSpeed("pairs", "cross-encoder", 900, 1234.5),
        ModelSpeed("idle", "cross-encoder", 0, 0.0),
    ),
    stand_in_ms=0.9,
    memory_at_start=242.4,
    memory_at_end=1361.8,
    stored=12_345,
)


def printed() -> str:
    console = Console(file=io.StringIO(), width=80)
    print_plan(console, PLAN)
    print_what_is_included(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_fits_a_terminal() -> None:
    assert max(map(len, printed().splitlines())) <= 80


def test_every_figure_is_there() -> None:
    text = printed()
    for row in (
        ("cold, 1 at a time", "12", "4.6", "201.5", "1203.2", "60100.7", "25%"),
        ("warm, 128 at once", "123456", "12345.6", "3.2", "4.1", "9.9", "100%"),
    ):
        cells = [
            tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines()
        ]
        assert row in cells
    assert "cold, 1 at a time: 12 partial" in text
    assert "warm, 128 at once:" not in text
    assert "model minilm: 250 passages a second, so 100,000 take `sidecar warm` 7 min" in text
    assert "model pairs: 1,234 pairs a second" in text
    assert "model idle: read nothing" in text
    assert "242 MB after the start, 1362 MB at the end with 12,345 passages stored" in text
