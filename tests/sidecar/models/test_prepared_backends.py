"""What is served of a prepared model: the original's scores, without its libraries."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.prepared_backends import default_threads

QUERY = "how are exceptions raised and handled"
MEGABYTES = 450

SERVE = """
import asyncio, json, pathlib, re, sys
from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
import sidecar.app

async def main():
    model = Model.model_validate_json(sys.argv[1])
    models = load_models({"m": model}, pathlib.Path(), Metrics())
    texts = ["Light red running shoes for the trail.", "How to prune an apple tree."]
    scores = await models.scorer(None).score("m", "apple tree", texts)
    models.close()
    memory = re.search(r"VmRSS:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
    heavy = {"torch", "transformers", "sentence_transformers", "nncf", "onnx", "scipy"}
    print(json.dumps({
        "scores": scores,
        "megabytes": int(memory[1]) / 1024,
        "heavy": sorted(heavy & set(sys.modules)),
    }))

asyncio.run(main())
"""


async def ranks(model: Model, texts: list[str]) -> list[float]:
    with closing(load_models({"m": model}, Path(), Metrics())) as models:
        scores = await models.scorer(None).score("m", QUERY, texts)
    return [score for score in scores if score is not None]


@pytest.mark.model
@pytest.mark.parametrize(
    ("backend", "spearman", "apart"), [("openvino", 0.995, 0.02), ("onnx", 0.9999, 1e-4)]
)
async def test_scores_are_near_the_originals(
    backend: str, spearman: float, apart: float, minilm: Model, english: list[str]
) -> None:
    """On texts of another kind than those that the gate has seen."""
    original = minilm.model_copy(update={"backend": "sentence-transformers"})
    expected = np.array(await ranks(original, english))
    scores = np.array(await ranks(minilm.model_copy(update={"backend": backend}), english))
    assert np.abs(scores - expected).max() < apart
    places = [np.argsort(np.argsort(numbers)) for numbers in (expected, scores)]
    correlation: Any = np.corrcoef(places)
    assert correlation[0, 1] > spearman
    assert scores.argmax() == expected.argmax()


@pytest.mark.model
@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_serving_needs_no_torch_and_little_memory(backend: str, minilm: Model) -> None:
    model = minilm.model_copy(update={"backend": backend})
    load_models({"m": model}, Path(), Metrics()).close()  # prepared from here on
    done = subprocess.run(
        [sys.executable, "-c", SERVE, model.model_dump_json()],
        check=True,
        capture_output=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    assert answer["heavy"] == []
    assert answer["megabytes"] < MEGABYTES
    shoes, tree = answer["scores"]
    assert tree > shoes


def test_a_core_is_left_where_there_are_several() -> None:
    assert default_threads() >= 1
