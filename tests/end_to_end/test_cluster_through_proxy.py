"""Three real nodes behind one sidecar: requests go round, and a node that dies is left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.app import Application
from tests.nodes.cluster import NAMES, Cluster
from tests.serving import metric, serving

INDEX = "shelf"
PATIENCE_S = 60
SEARCH = {"query": {"match": {"body": "copper kettle"}}}


@pytest.fixture
async def app(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Application]:
    upstream = {"urls": cluster.urls, "connect_timeout_ms": 1000}
    async with serving(tmp_path, upstream, index=INDEX) as app:
        yield app


@pytest.fixture
async def client(app: Application) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the proxy that does not retry."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(f"http://{app.proxy_address}", timeout=timeout) as session:
        settings = {"settings": {"number_of_shards": 3, "number_of_replicas": 1}}
        async with session.put(f"/{INDEX}", json=settings) as made:
            assert made.status == 200, await made.text()
        # A shard whose replica is not there yet would be lost with the node.
        async with session.get(f"/_cluster/health/{INDEX}?wait_for_status=green") as green:
            assert green.status == 200, await green.text()
        yield session
        async with session.delete(f"/{INDEX}") as deleted:
            assert deleted.status == 200, await deleted.text()


async def name_of_the_next_node(client: aiohttp.ClientSession) -> str:
    async with client.get("/") as answer:
        assert answer.status == 200, await answer.text()
        name: str = (await answer.json())["name"]
    return name


async def write(client: aiohttp.ClientSession, number: int) -> None:
    document = {"body": f"a copper kettle, number {number}"}
    async with client.put(f"/{INDEX}/_doc/{number}", json=document) as answer:
        assert answer.status == 201, await answer.text()


async def search(client: aiohttp.ClientSession) -> tuple[str, Any]:
    """What X-Rescore says, and the answer."""
    async with client.post(f"/{INDEX}/_search?size=100", json=SEARCH) as answer:
        assert answer.status == 200, await answer.text()
        return answer.headers["X-Rescore"].partition(";")[0], await answer.json()


async def test_searches_and_writes_go_round(
    app: Application, cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    # The clients share one connection to the proxy, so their requests come one after the other.
    names = [await name_of_the_next_node(client) for _ in range(6)]
    assert sorted(names[:3]) == list(NAMES)
    assert names[3:] == names[:3]
    for number in range(6):
        await write(client, number)
    async with client.post(f"/{INDEX}/_refresh") as refreshed:
        assert refreshed.status == 200
    for _ in range(3):
        status, answer = await search(client)
        assert status == "applied"
        assert answer["hits"]["total"]["value"] == 6
    for url in cluster.urls:
        assert metric(app, "relay_upstream_up", url=url) == 1


async def test_a_killed_node_is_left_out_and_taken_back(
    app: Application, cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    for number in range(6):
        await write(client, number)
    victim = NAMES[1]
    url = cluster.urls[1]

    # One request in flight on each node: they wait for a cluster that will not come.
    async def wait_in_vain() -> tuple[int, Any]:
        async with client.get("/_cluster/health?wait_for_nodes=4&timeout=60s") as answer:
            return answer.status, await answer.json()

    loop = asyncio.get_running_loop()
    in_flight = [loop.create_task(wait_in_vain()) for _ in NAMES]
    try:
        while metric(app, "relay_upstream_connections", state="busy") < len(NAMES):
            async with client.get(f"http://{app.api_address}/healthz") as alive:
                assert alive.status == 200
        await asyncio.to_thread(cluster.kill, victim)
        # The request on the dead node fails at once, not when its time would be over.
        (lost,), others = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
        status, answer = lost.result()
        assert (status, answer["error"]["type"]) == (502, "upstream_broken")

        for number in range(6, 12):
            await write(client, number)
        for _ in range(6):
            assert await name_of_the_next_node(client) != victim
        assert metric(app, "relay_upstream_up", url=url) == 0
        # Until the copies on the living nodes have taken over, OpenSearch itself finds less.
        settled = "wait_for_status=yellow&wait_for_no_initializing_shards=true&timeout=50s"
        async with client.get(f"/_cluster/health/{INDEX}?{settled}") as health:
            assert health.status == 200, await health.text()
        async with client.post(f"/{INDEX}/_refresh") as refreshed:
            assert refreshed.status == 200
        for _ in range(3):
            said, found = await search(client)
            assert (said, found["hits"]["total"]["value"]) == ("applied", 12)
        assert not any(task.done() for task in others)
    finally:
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)
        await asyncio.to_thread(cluster.start, victim)
        await asyncio.to_thread(cluster.join)

    async with asyncio.timeout(PATIENCE_S):
        while metric(app, "relay_upstream_up", url=url) == 0:
            await name_of_the_next_node(client)
    names = [await name_of_the_next_node(client) for _ in NAMES]
    assert sorted(names) == list(NAMES)
    assert metric(app, "relay_errors_total", reason="upstream_unavailable") == 0
    assert metric(app, "relay_errors_total", reason="upstream_broken") == 1
