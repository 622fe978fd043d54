"""Parts of a transformer's graph; test_original.py compares whole graphs."""

from typing import Any

import numpy as np
import pytest

from sidecar.models.preparing.transformer_graph import distance_buckets


@pytest.mark.parametrize("buckets", [32, 16])
def test_distances_have_the_buckets_of_transformers(buckets: int) -> None:
    import torch
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    distances = np.arange(-600, 601)
    reference: Any = MPNetEncoder.relative_position_bucket
    expected = reference(torch.tensor(distances), num_buckets=buckets)
    assert np.array_equal(distance_buckets(distances, buckets), expected.numpy())
