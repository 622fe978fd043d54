"""Doors with the fake model: one for all tests of a module, or one with a test's own settings."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.kendra_ranking.serving import Serve, Served, serving


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("door")) as served:
        yield served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a door with the test's own settings; it stops when the test ends."""
    with ExitStack() as running:

        def start(**settings: Any) -> Served:
            return running.enter_context(serving(tmp_path, **settings))

        yield start
