"""The ways to compute a model: which a processor has, and which is chosen."""

import time
from functools import partial

import pytest

from sidecar.models.backends import processor
from sidecar.models.ways import Way, choose_way, last_resort, list_ways, measure_ways

FIXED = Way("int8-fixed", "int8-fixed")
INT8, BF16, F32 = Way("int8", "int8"), Way("f32", "bf16"), Way("f32", "f32")


@pytest.mark.parametrize(
    ("precision", "forms", "fast", "expected", "resort"),
    [
        ("auto", ("int8", "f32"), "f32", [INT8, F32], None),
        ("auto", ("int8", "f32"), "bf16", [INT8, BF16, F32], None),
        ("auto", ("int8", "f32", "int8-fixed"), "f32", [FIXED, INT8, F32], None),
        ("auto", ("f32",), "bf16", [BF16, F32], None),
        ("auto", ("int8",), "f32", [INT8], Way("int8", "f32")),
        ("int8", ("int8",), "bf16", [INT8], Way("int8", "f32")),
        ("bf16", ("bf16",), "bf16", [Way("bf16", "bf16")], Way("bf16", "f32")),
        ("bf16", ("bf16",), "f32", [Way("bf16", "f32")], None),
        ("f32", ("f32",), "bf16", [F32], None),
    ],
)
def test_the_ways_of_a_processor(
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    forms: tuple[str, ...],
    fast: str,
    expected: list[Way],
    resort: Way | None,
) -> None:
    monkeypatch.setattr(processor, "fast_float", lambda: fast)
    assert list_ways(precision, forms) == expected
    assert last_resort(precision, forms) == resort


@pytest.mark.parametrize(
    ("way", "precision", "text"),
    [
        (FIXED, "int8-fixed", "int8-fixed"),
        (INT8, "int8", "int8"),
        (BF16, "bf16", "bf16"),
        (F32, "f32", "f32"),
        (Way("int8", "f32"), "int8", "int8, computed in f32"),
        (Way("bf16", "f32"), "bf16", "bf16, computed in f32"),
    ],
)
def test_the_less_exact_of_both_decides_the_precision(way: Way, precision: str, text: str) -> None:
    assert way.precision == precision
    assert str(way) == text


@pytest.mark.parametrize(
    ("seconds", "closeness", "chosen"),
    [
        ({INT8: 1.0, BF16: 1.3, F32: 3.0}, {INT8: 0.997, BF16: 0.9995, F32: 1.0}, INT8),
        ({FIXED: 1.0, INT8: 1.2}, {FIXED: 0.998, INT8: 0.999}, FIXED),
        ({FIXED: 1.0, INT8: 1.04}, {FIXED: 0.998, INT8: 0.999}, INT8),
        ({INT8: 1.0, BF16: 1.04, F32: 3.0}, {INT8: 0.997, BF16: 0.9995, F32: 1.0}, BF16),
        ({INT8: 1.06, BF16: 1.0, F32: 1.049}, {INT8: 0.997, BF16: 0.9995, F32: 1.0}, F32),
        ({INT8: 1.0, F32: 1.06}, {INT8: 0.997, F32: 1.0}, INT8),
        ({INT8: 1.0, F32: 1.0}, {INT8: 1.0, F32: 1.0}, F32),
        ({INT8: 0.0, F32: 0.0}, {INT8: 0.999, F32: 1.0}, F32),
    ],
)
def test_the_fastest_is_chosen_and_of_equals_the_closest(
    seconds: dict[Way, float], closeness: dict[Way, float], chosen: Way
) -> None:
    assert choose_way(seconds, closeness) == chosen


class Reads:
    """Reads that take the processor's time as their lists say, and then always the last of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, costs: dict[Way, list[float]]) -> None:
        self.clock = 0.0
        self.calls: list[Way] = []
        self.reads = {way: partial(self.read, way) for way in costs}
        self._costs = {way: list(cost) for way, cost in costs.items()}
        monkeypatch.setattr(time, "process_time", lambda: self.clock)
        monkeypatch.setattr(time, "monotonic", lambda: self.clock)

    def read(self, way: Way) -> None:
        self.calls.append(way)
        cost = self._costs[way]
        self.clock += cost.pop(0) if len(cost) > 1 else cost[0]


def test_each_way_is_measured_in_turn_and_its_least_time_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = Reads(monkeypatch, {INT8: [0.05, 0.02, 0.03], F32: [0.09, 0.1, 0.08, 0.0799]})
    assert measure_ways(reads.reads) == {INT8: pytest.approx(0.02), F32: pytest.approx(0.0799)}
    # The third round found the last time that was clearly less; six more found none.
    assert reads.calls == [INT8, F32] * 9


def test_slow_ways_are_measured_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch, {INT8: [5.0, 0.2], F32: [1.0, 0.9, 0.8, 0.7]})
    assert measure_ways(reads.reads) == {INT8: pytest.approx(0.2), F32: pytest.approx(0.8)}
    assert reads.calls == [INT8, F32] * 3


def test_measuring_ends_where_time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch, {F32: [0.0]})
    measure_ways(reads.reads)
    assert len(reads.calls) == 7
