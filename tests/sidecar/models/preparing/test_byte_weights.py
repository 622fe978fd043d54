"""Weights of one byte: near the original, and what they are near to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sidecar.models.preparing.byte_weights import round_rows

WEIGHTS = arrays(np.float32, (3, 8), elements=st.floats(-8, 8, width=32))


@given(WEIGHTS)
def test_no_weight_is_off_by_more_than_a_step(weights: np.ndarray) -> None:
    codes, zero_points, scales = round_rows(weights)
    restored = (codes.astype(np.float32) - zero_points) * scales
    # Half a step for the weight, half a step for the zero point, and the scale's own rounding.
    least, most = (end(weights, axis=1, keepdims=True, initial=0) for end in (np.min, np.max))
    allowed = np.where(most - least > 0.1, 1.3 * scales, 1e-3)
    assert (np.abs(restored - weights) <= allowed).all()


@given(WEIGHTS)
def test_zero_stays_zero(weights: np.ndarray) -> None:
    weights = weights.copy()
    weights[:, 0] = 0
    codes, zero_points, _ = round_rows(weights)
    assert (codes[:, :1] == zero_points).all()


def test_each_row_has_a_scale_of_its_own() -> None:
    weights = np.array([[1, -1], [100, 0]], np.float32)
    codes, zero_points, scales = round_rows(weights)
    assert codes.shape == (2, 2)
    assert zero_points.shape == scales.shape == (2, 1)
    assert scales[1, 0] > 10 * scales[0, 0]
