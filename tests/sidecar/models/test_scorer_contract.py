"""Every backend keeps the contract of `tests/scorer_contract.py`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from pipelines.scoring import Scorer
from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from tests.scorer_contract import RELEVANCE, SHAPE

Check = Callable[[Scorer, str], Awaitable[None]]


BACKENDS = ["openvino", "onnx", "sentence-transformers"]


@pytest.fixture(scope="module", params=BACKENDS)
def cross_encoder(request: pytest.FixtureRequest, tiny_cross_encoder: Model) -> Iterator[Models]:
    changes = {"backend": request.param}
    if request.param == "openvino":
        # In bf16, what is read together with a text moves its score by more than is allowed.
        changes["precision"] = "f32"
    model = tiny_cross_encoder.model_copy(update=changes)
    with closing(load_models({"m": model}, Path(), Metrics())) as models:
        yield models


@pytest.fixture(scope="module", params=BACKENDS)
def bi_encoder(request: pytest.FixtureRequest, minilm: Model) -> Iterator[Models]:
    model = minilm.model_copy(update={"backend": request.param})
    with closing(load_models({"m": model}, Path(), Metrics())) as models:
        yield models


@pytest.mark.parametrize("check", SHAPE + RELEVANCE)
@pytest.mark.parametrize("kind", ["bi-encoder", "cross-encoder"])
async def test_fake(check: Check, kind: Literal["bi-encoder", "cross-encoder"]) -> None:
    model = Model(kind=kind, source="none", backend="fake")
    with closing(load_models({"m": model}, Path(), Metrics())) as models:
        await check(models.scorer(None), "m")


@pytest.mark.parametrize("check", SHAPE)
async def test_cross_encoder(check: Check, cross_encoder: Models) -> None:
    await check(cross_encoder.scorer(None), "m")


@pytest.mark.model
@pytest.mark.parametrize("check", SHAPE + RELEVANCE)
async def test_bi_encoder(check: Check, bi_encoder: Models) -> None:
    await check(bi_encoder.scorer(None), "m")
