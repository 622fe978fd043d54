"""The spread of a model's scores, measured once and kept."""

from pathlib import Path

import numpy as np
import pytest

from sidecar.models.backends.base import FloatArray
from sidecar.models.spreads import keep_spread, measure_spread

SCORES = np.array([[0.0, 0.2], [5.0, 5.4]], np.float32)


def never() -> FloatArray:
    raise AssertionError("the spread is known")


def test_it_is_the_mean_deviation_within_a_query() -> None:
    assert measure_spread(SCORES) == pytest.approx(0.15)


def test_a_model_that_scores_all_alike_has_one() -> None:
    assert measure_spread(np.ones((2, 3), np.float32)) == 1.0


def test_it_is_kept_by_identity(tmp_path: Path) -> None:
    assert keep_spread(tmp_path, "one", lambda: SCORES) == pytest.approx(0.15)
    assert keep_spread(tmp_path, "one", never) == pytest.approx(0.15)
    assert keep_spread(tmp_path, "two", lambda: 2 * SCORES) == pytest.approx(0.3)


def test_a_damaged_file_or_no_folder_is_measured_again(tmp_path: Path) -> None:
    keep_spread(tmp_path, "one", lambda: SCORES)
    (tmp_path / "spreads" / "one.json").write_text('{"spread": -1}')
    assert keep_spread(tmp_path, "one", lambda: SCORES) == pytest.approx(0.15)
    assert keep_spread(None, "one", lambda: SCORES) == pytest.approx(0.15)
