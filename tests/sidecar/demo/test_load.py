import socket
import subprocess
import sys
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from sidecar.demo.collection import Collection
from sidecar.demo.errors import DemoError
from sidecar.demo.index import INDEX, search_body
from sidecar.demo.load import delete_index, load_collection
from tests.nodes.node import Node


async def call(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    async with ClientSession() as session, session.request(method, url, json=body) as answer:
        return answer.status, await answer.json()


async def test_documents_can_be_searched_when_it_is_done(
    cluster: str, small_collection: Collection
) -> None:
    loaded: list[None] = []
    await load_collection(cluster, small_collection, lambda: loaded.append(None))

    assert len(loaded) == len(small_collection.documents)
    document = small_collection.documents[0]
    _, found = await call("POST", f"{cluster}/{INDEX}/_search", search_body(document.title))
    assert found["hits"]["hits"][0]["_id"] == document.id
    assert found["hits"]["hits"][0]["_source"] == {
        "title": document.title,
        "text": document.text,
    }


async def test_loading_again_replaces_the_index(cluster: str, small_collection: Collection) -> None:
    await load_collection(cluster, small_collection, lambda: None)
    await call("PUT", f"{cluster}/{INDEX}/_doc/left-over", {"title": "left over"})
    await load_collection(cluster, small_collection, lambda: None)

    _, count = await call("GET", f"{cluster}/{INDEX}/_count")
    assert count["count"] == len(small_collection.documents)


async def test_somebody_elses_index_is_left_alone(
    cluster: str, small_collection: Collection
) -> None:
    await call("PUT", f"{cluster}/{INDEX}/_doc/1", {"title": "precious"})

    with pytest.raises(DemoError, match=f"an index or alias {INDEX} that the demo did not create"):
        await load_collection(cluster, small_collection, lambda: None)
    with pytest.raises(DemoError, match="did not create"):
        await delete_index(cluster)

    status, _ = await call("GET", f"{cluster}/{INDEX}/_doc/1")
    assert status == 200


async def test_what_an_alias_of_the_name_leads_to_is_left_alone(
    cluster: str, small_collection: Collection
) -> None:
    await call("PUT", f"{cluster}/precious", {"aliases": {INDEX: {}}})

    with pytest.raises(DemoError, match="did not create"):
        await load_collection(cluster, small_collection, lambda: None)

    status, _ = await call("GET", f"{cluster}/precious")
    assert status == 200


async def test_the_index_is_deleted_and_may_be_gone_already(
    cluster: str, small_collection: Collection
) -> None:
    await load_collection(cluster, small_collection, lambda: None)
    await delete_index(cluster)
    await delete_index(cluster)

    status, _ = await call("GET", f"{cluster}/{INDEX}")
    assert status == 404


async def test_a_cluster_that_is_not_there_is_told(small_collection: Collection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(DemoError, match=f"{url}: no OpenSearch answers there"):
        await load_collection(url, small_collection, lambda: None)


async def test_a_refusal_is_told(small_collection: Collection) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=401, text="Unauthorized")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    async with TestServer(app) as server:
        with pytest.raises(DemoError, match="refused with status 401: Unauthorized"):
            await load_collection(str(server.make_url("")), small_collection, lambda: None)


async def test_a_real_opensearch_takes_it(opensearch: Node, small_collection: Collection) -> None:
    await load_collection(opensearch.url, small_collection, lambda: None)
    await load_collection(opensearch.url, small_collection, lambda: None)
    _, count = await call("GET", f"{opensearch.url}/{INDEX}/_count")
    assert count["count"] == len(small_collection.documents)

    await delete_index(opensearch.url)
    status, _ = await call("GET", f"{opensearch.url}/{INDEX}")
    assert status == 404


async def test_the_command_loads_the_whole_sample(cluster: str) -> None:
    command = [sys.executable, "-m", "sidecar.demo.load", "--url", cluster]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: ASYNC221

    assert done.stdout == f"1000 documents are in {cluster}/{INDEX}\n"
    assert done.stderr == ""
