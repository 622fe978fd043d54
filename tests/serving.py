"""A whole sidecar in the test's own event loop, for tests that watch several things at once.

`tests/running.py` has the other one, in a thread, for blocking clients.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from sidecar.app import Application
from sidecar.config_reading.config_files import read_config


@asynccontextmanager
async def serving(
    folder: Path,
    upstream: Mapping[str, Any],
    main: Mapping[str, Any] | None = None,
    index: str = "docs",
) -> AsyncIterator[Application]:
    """Serve from `folder`, whose main file says `upstream` and the keys of `main`.

    Searches of `index` are rescored by the fake model, which counts shared words.
    """
    (folder / "plans").mkdir(parents=True, exist_ok=True)
    plan = {
        "deadline_ms": 20_000,
        "document": {"body": "body"},
        "stages": [{"model": "words"}],
        "fusion": {"method": "replace"},
    }
    (folder / "plans" / "words.yaml").write_text(yaml.safe_dump(plan))
    whole = {
        "listen": "127.0.0.1:0",
        "api_listen": "127.0.0.1:0",
        "upstream": dict(upstream),
        "models": {"words": {"kind": "cross-encoder", "source": "words", "backend": "fake"}},
        "routes": [{"index": index, "plan": "words"}],
        **(main or {}),
    }
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(whole))
    app = Application(read_config(folder / "sidecar.yaml", {}), folder)
    await app.start()
    try:
        await app.load_models()
        yield app
    finally:
        await app.stop(5)


def metric(app: Application, name: str, **labels: str) -> float:
    """The value of one sample of /metrics; 0 when it has not been counted yet."""
    return app.metrics.registry.get_sample_value(name, labels) or 0.0
