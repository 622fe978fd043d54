"""A former configuration leaves nothing of its models, although no garbage is collected."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sidecar.config_reading.config_files import read_config
from tests.running import WORDS, Sidecar, running_sidecar

VECTORS = {"kind": "bi-encoder", "source": "words", "backend": "fake"}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """As in `serve`: what exists is frozen, so the collector never frees it."""
    yield
    gc.enable()
    gc.unfreeze()


def parts_of_the_model(sidecar: Sidecar) -> list[weakref.ref[object]]:
    models = sidecar.app._models.current
    assert models is not None
    scorer = models.bi_encoder("vectors")
    assert scorer is not None
    return [weakref.ref(part) for part in (scorer, scorer._backend, scorer._store)]


def test_a_model_that_is_no_longer_used_is_freed(tmp_path: Path, no_collection: None) -> None:
    models = {"words": WORDS, "vectors": VECTORS}
    path = tmp_path / "sidecar.yaml"
    plans = {"fused": {"document": {"body": "body"}}}
    with running_sidecar(
        tmp_path, "http://127.0.0.1:9", plans, {"docs": "fused"}, main={"models": models}
    ) as sidecar:
        parts = parts_of_the_model(sidecar)
        path.write_text(
            yaml.safe_dump(yaml.safe_load(path.read_text()) | {"models": {"words": WORDS}})
        )
        gc.disable()
        gc.freeze()
        retiring = sidecar.app._retiring

        async def reload() -> None:
            await sidecar.app.reload(read_config(path, {}))
            await asyncio.wait(retiring, timeout=60)

        sidecar.call(reload())
        assert [part() for part in parts] == [None, None, None]
        assert 'model="vectors"' not in str(list(sidecar.app.metrics.passages_stored.collect()))
