"""Fusion needs no setting of its own for the normalised scores of `hybrid` queries."""

from __future__ import annotations

from benchmarks.hybrid_scores import measure_all


def test_the_model_counts_as_much_as_in_windows_of_one_match() -> None:
    one, *hybrid = measure_all(windows=40).values()
    for rows in hybrid:
        for row in rows:
            assert row.pinned == 0
            assert 0.5 < row.best_term < 1.5
            for found, usual in ((row.relative, one[0].relative), (row.additive, one[0].additive)):
                assert abs(found[1] - usual[1]) < 0.05
                # Two lists of different heights, as `l2` leaves them, say less than one.
                assert -0.25 < found[0] - usual[0] < 0.1
