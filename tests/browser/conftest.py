"""What the browser's tests share: a Chromium, an OpenSearch in memory, a sidecar, a tab."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from sidecar.demo.embedded import embedded_opensearch
from tests.browser.chromium import Tab, find_chromium, open_tab, running_chromium
from tests.browser.documents import load_documents
from tests.running import Sidecar, running_sidecar

PLANS = {
    "words": {
        "rescore_window": 50,
        "deadline_ms": 20_000,
        "fusion": {"method": "relative", "weight": 4, "lexical": 0.3, "short_query_words": 6},
    },
    "wide": {"rescore_window": 1000, "deadline_ms": 20_000, "fusion": {"method": "relative"}},
    "model": {"rescore_window": 50, "deadline_ms": 20_000, "fusion": {"method": "replace"}},
}


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DevTools address of a running Chromium."""
    if find_chromium() is None:
        if os.environ.get("RESCORE_REQUIRE_BROWSER") == "1":
            raise pytest.fail.Exception("there is no Chromium", pytrace=False)
        pytest.skip("there is no Chromium; install it with: apt-get install chromium")
    with running_chromium(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """URL of an OpenSearch in memory with the documents."""
    with asyncio.Runner() as runner:
        embedded = embedded_opensearch()
        url = runner.run(embedded.__aenter__())
        runner.run(load_documents(url))
        yield url
        runner.run(embedded.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def sidecar(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar that serves the page."""
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {"docs": "words", "hostile": "words", "many": "words"}
    with running_sidecar(folder, upstream, PLANS, routes) as running:
        yield running


@pytest.fixture
async def tab(chromium: str) -> AsyncIterator[Tab]:
    """A tab; in the end, nothing in it may have failed."""
    async with open_tab(chromium) as opened:
        yield opened
        assert not opened.faults
