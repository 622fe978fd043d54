"""Spreads and bars: medians, verdicts, and the way to JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from benchmarks.figures import Bar, Part, Spread, Table, read_part, spread


def test_a_spread_is_median_lowest_and_highest() -> None:
    assert spread([3.0, 1.0, 10.0], "x", 2) == Spread(3.0, 1.0, 10.0, "x", 2)
    assert str(spread([1234.56, 900.0, 2000.0], " ms", 0)) == "1,235 ms (900-2,000)"
    assert str(spread([2.345], "x", 2)) == "2.35x"


@pytest.mark.parametrize(
    ("value", "at", "verdict"),
    [
        (10.0, "least", "aim reached"),
        (9.9, "least", "bar passed"),
        (8.0, "least", "bar passed"),
        (7.9, "least", "missed"),
        (7.9, "most", "aim reached"),
        (10.0, "most", "missed"),
    ],
)
def test_a_bar_is_judged_by_its_median(value: float, at: str, verdict: str) -> None:
    low, high = (8, 10) if at == "least" else (9, 8)
    bar = Bar("what", Spread(value, 0.0, 100.0), at, low, high)  # type: ignore[arg-type]
    assert bar.verdict == verdict


def test_a_part_comes_back_from_json() -> None:
    figure = Spread(1.5, 1.0, 2.0, " ms", 2)
    part = Part(
        "models",
        "A model alone",
        "how",
        (Table("t", ("", "ms"), (("a", figure), ("b", "-")), "note"),),
        (Bar("what", figure, "most", 2, 1),),
        "something",
    )
    assert read_part(json.loads(json.dumps(asdict(part)))) == part
