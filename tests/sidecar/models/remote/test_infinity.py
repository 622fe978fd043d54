"""Another project's server behind `backend: remote`, unchanged: Infinity with local weights."""

import asyncio
import json
import os
import shutil
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.models.sources import find_weights
from tests.sidecar.models.remote.infinity_service import python_with_infinity, running_infinity
from tests.sidecar.rerank.client_programs import NotInstalled

TEXTS = [
    "how to bake an apple pie",
    "the stock market fell on Monday",
    "apples are picked in autumn",
    "a kettle boils water",
]


def score(models: Models, name: str) -> list[float]:
    async def run() -> list[float]:
        scorer = models.scorer(time.monotonic() + 200)
        scores = await scorer.score(name, "baking with apples", TEXTS)
        return [score for score in scores if score is not None]

    return asyncio.run(run())


@pytest.mark.model
def test_infinity_scores_as_the_same_weights_do_here(
    tmp_path: Path, minilm: Model, tiny_cross_encoder: Model
) -> None:
    try:
        python_with_infinity()
    except NotInstalled as reason:
        if os.environ.get("RESCORE_REQUIRE_NODES") == "1":
            raise pytest.fail.Exception(str(reason), pytrace=False) from None
        pytest.skip(str(reason))
    pairs = tmp_path / "pairs"
    shutil.copytree(find_weights(tiny_cross_encoder, tmp_path), pairs)
    # It cuts texts only to the tokenizer's length.
    settings = json.loads((pairs / "tokenizer_config.json").read_text())
    (pairs / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 64}))
    served = {"vectors": find_weights(minilm, tmp_path), "pairs": pairs}
    published = {"backend": "sentence-transformers", "precision": "auto", "threads": None}
    with (tmp_path / "infinity.log").open("wb") as log, running_infinity(served, log) as url:
        service = {"backend": "remote", "timeout_ms": 200_000}
        models = {
            "far-vectors": Model.model_validate(
                {
                    "kind": "bi-encoder",
                    "source": "vectors",
                    **service,
                    "url": f"{url}/embeddings",
                    "api": "openai-embeddings",
                }
            ),
            "far-pairs": Model.model_validate(
                {
                    "kind": "cross-encoder",
                    "source": "pairs",
                    **service,
                    "url": f"{url}/rerank",
                    "api": "cohere",
                    "scores": "probability",
                }
            ),
            "vectors": minilm,
            "pairs": tiny_cross_encoder.model_copy(update=published),
        }
        with closing(load_models(models, tmp_path, Metrics(), cache=tmp_path / "cache")) as loaded:
            for kind, most in (("vectors", 2e-2), ("pairs", 5e-2)):
                far, here = score(loaded, f"far-{kind}"), score(loaded, kind)
                assert np.argsort(far).tolist() == np.argsort(here).tolist()
                assert far == pytest.approx(here, abs=most)
            bi_encoder = loaded.bi_encoder("far-vectors")
            assert bi_encoder is not None
            assert bi_encoder.unread(TEXTS) == []
