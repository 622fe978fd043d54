"""Real clients do their ordinary work, directly and through the sidecar, with the same results.

The sidecar takes their searches and its model changes no order, so every answer has to be the
same; versions and sequence numbers in the answers show that nothing was written twice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import Callable, Iterator

import pytest

from tests.clients import programs, python_clients
from tests.nodes.java import NotInstalled
from tests.nodes.node import Node
from tests.running import Sidecar, running_sidecar
from tests.traps.pair import IDENTITY, both_models

_WORDS = {"kind": "cross-encoder", "source": "words", "backend": "fake"}
_DRAWN = re.compile(r'"took": ?\d+|"_scroll_id": ?"[^"]*"|"timestamp": ?\d+')


@pytest.fixture(scope="module")
def sidecar(opensearch_3: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar that takes every search."""
    with running_sidecar(
        tmp_path_factory.mktemp("clients"),
        opensearch_3.url,
        {"identity": {**IDENTITY, "document": {"body": "body"}}},
        {"*": "identity"},
        both_models(),
        main={"models": {"words": _WORDS, "constant": _WORDS}},
    ) as running:
        yield running


def _agree(node: Node, sidecar: Sidecar, run: Callable[[str], list[str]]) -> list[str]:
    """Run an application both ways; the lines it printed, which are the same."""
    labels = {"plan": "identity", "status": "applied", "reason": ""}
    applied = sidecar.metric("rescore_searches_total", **labels)
    direct, through = run(node.url), run(f"http://{sidecar.proxy}")
    for ours, theirs in zip(through, direct, strict=True):
        assert _DRAWN.sub("", ours) == _DRAWN.sub("", theirs)
    assert sidecar.metric("rescore_searches_total", **labels) >= applied + 2
    return through


def _names(lines: list[str]) -> list[str]:
    return [json.loads(line)[0] for line in lines]


@pytest.mark.parametrize("transport", ["urllib3", "requests", "aiohttp"])
def test_opensearch_py(opensearch_3: Node, sidecar: Sidecar, transport: str) -> None:
    def run(url: str) -> list[str]:
        index = "clients-python"
        if transport == "aiohttp":
            return asyncio.run(python_clients.run_async(url, index))
        if transport == "requests":
            return python_clients.run_requests(url, index)
        return python_clients.run_urllib3(url, index)

    names = _names(_agree(opensearch_3, sidecar, run))
    assert len(names) == 19
    assert names.count("scroll") == 3


def _command(make: Callable[[], programs.Command]) -> programs.Command:
    try:
        return make()
    except NotInstalled as missing:
        # A run that has to prove something must not pass by leaving tests out.
        if os.environ.get("RESCORE_REQUIRE_NODES") == "1":
            raise pytest.fail.Exception(str(missing), pytrace=False) from None
        pytest.skip(str(missing))


def test_opensearch_js(opensearch_3: Node, sidecar: Sidecar) -> None:
    command = _command(programs.js_client)
    lines = _agree(opensearch_3, sidecar, lambda url: programs.run(command, url, "clients-js"))
    assert len(lines) == 18


def test_opensearch_go(opensearch_3: Node, sidecar: Sidecar) -> None:
    command = _command(programs.go_client)
    lines = _agree(opensearch_3, sidecar, lambda url: programs.run(command, url, "clients-go"))
    assert len(lines) == 15


def test_the_http_client_of_the_jdk(opensearch_3: Node, sidecar: Sidecar) -> None:
    command = _command(programs.java_client)

    def run(url: str) -> list[str]:
        told = [json.loads(line) for line in programs.run(command, url, "clients-java")]
        return [
            json.dumps([name, status, base64.b64decode(body).decode()]).replace('\\"', '"')
            for name, status, body in told
        ]

    assert len(_agree(opensearch_3, sidecar, run)) == 13
