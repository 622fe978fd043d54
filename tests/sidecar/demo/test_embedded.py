import socket
import sys

import pytest
from aiohttp import ClientConnectionError, ClientSession

from sidecar.demo.embedded import embedded_opensearch
from sidecar.demo.errors import DemoError


async def test_it_answers_as_opensearch_does_until_it_is_left() -> None:
    async with ClientSession() as session:
        async with embedded_opensearch() as url, session.get(url) as answer:
            root = await answer.json()
        assert root["version"]["distribution"] == "opensearch"

        with pytest.raises(ClientConnectionError):
            await session.get(url)


async def test_it_takes_the_port_that_it_is_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with embedded_opensearch(port) as url:
        assert url == f"http://127.0.0.1:{port}"


async def test_a_port_in_use_is_told() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(DemoError, match="did not start: .*address already in use"),
    ):
        async with embedded_opensearch(taken.getsockname()[1]):
            pass


async def test_it_ends_when_what_is_tried_on_it_fails() -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        async with embedded_opensearch() as url:
            raise RuntimeError("on purpose")
    async with ClientSession() as session:
        with pytest.raises(ClientConnectionError):
            await session.get(url)


async def test_without_its_package_the_line_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the import system does with a name that is None: ImportError.
    monkeypatch.setitem(sys.modules, "osmem_server", None)
    with pytest.raises(DemoError, match=r"pip install 'rescore-sidecar\[demo\]'"):
        async with embedded_opensearch():
            pass
