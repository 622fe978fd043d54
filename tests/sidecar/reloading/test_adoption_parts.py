"""Shadows and queries for User Behavior Insights while a sidecar reloads, stops, or is refused.

The node's answers wait for the test, so nothing here depends on time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession, web

from sidecar.app import Application
from sidecar.config_reading.config_files import read_config
from tests.canned_node import answer
from tests.serving import metric, serving

SHADOW_SIZE = 33
UBI = {"ext": {"ubi": {"query_id": "q"}}}


class Node:
    """OpenSearch's place. A shadow's search and a `_bulk` wait until the test lets them go on."""

    def __init__(self) -> None:
        self.shadow_arrived, self.bulk_arrived = asyncio.Event(), asyncio.Event()
        self.go_on = asyncio.Event()
        self.written: list[dict[str, Any]] = []
        self.shadow_status, self.index_status = 200, 200

    async def search(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("size") == SHADOW_SIZE:
            self.shadow_arrived.set()
            await self.go_on.wait()
            if self.shadow_status != 200:
                return web.json_response({"error": "no"}, status=self.shadow_status)
        return web.Response(body=answer(), content_type="application/json")

    async def index(self, request: web.Request) -> web.Response:
        return web.Response(status=self.index_status)

    async def bulk(self, request: web.Request) -> web.Response:
        self.bulk_arrived.set()
        await self.go_on.wait()
        self.written += [json.loads(line) for line in (await request.text()).splitlines()[1::2]]
        return web.json_response({"errors": False})


@asynccontextmanager
async def running(
    folder: Path, main: Mapping[str, Any]
) -> AsyncIterator[tuple[Node, Application, ClientSession]]:
    """A node and a sidecar: `docs` has the shadow plan `later`, and the plan `words` is live."""
    node = Node()
    site_app = web.Application()
    site_app.router.add_post("/docs/_search", node.search)
    site_app.router.add_route("HEAD", "/ubi_queries", node.index)
    site_app.router.add_put("/ubi_queries", node.index)
    site_app.router.add_post("/ubi_queries/_bulk", node.bulk)
    runner = web.AppRunner(site_app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    later = {
        "mode": "shadow",
        "rescore_window": SHADOW_SIZE,
        "document": {"body": "body"},
        "stages": [{"model": "words"}],
    }
    (folder / "config" / "plans").mkdir(parents=True)
    (folder / "config" / "plans" / "later.yaml").write_text(yaml.safe_dump(later))
    try:
        async with (
            serving(folder / "config", {"urls": [url]}, main) as app,
            ClientSession(f"http://{app.proxy_address}") as client,
        ):
            yield node, app, client
    finally:
        node.go_on.set()
        await runner.cleanup()


async def search(client: ClientSession, plan: str, **members: Any) -> str:
    """One search with this plan; returns its `X-Rescore`."""
    body = {"query": {"match": {"body": "kettle"}}, "size": 2, **members}
    async with client.post(
        "/docs/_search", json=body, headers={"X-Rescore-Plan": plan}
    ) as response:
        assert response.status == 200
        await response.read()
        return response.headers["X-Rescore"]


async def reload(app: Application, folder: Path, **keys: Any) -> None:
    path = folder / "config" / "sidecar.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}))
    assert await app.reload(read_config(path, {}))


async def until(condition: Any) -> None:
    """Let the event loop turn until it is so, for a minute at most."""
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def shadows(app: Application, status: str = "applied", reason: str = "") -> float:
    return metric(app, "rescore_shadows_total", plan="later", status=status, reason=reason)


def queries(app: Application, result: str) -> float:
    return metric(app, "rescore_ubi_queries_total", result=result)


async def test_a_reload_loses_no_shadow_and_no_line(tmp_path: Path) -> None:
    log = {"log_file": "shadow.jsonl"}
    async with running(tmp_path, {"shadow_log": log}) as (node, app, client):
        assert await search(client, "later") == "shadow; plan=later"
        await node.shadow_arrived.wait()
        await reload(app, tmp_path, window_cache_s=7)
        assert await search(client, "later") == "shadow; plan=later"
        node.go_on.set()
        await until(lambda: shadows(app) == 2)
    lines = (tmp_path / "config" / "shadow.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["applied"] * 2


@pytest.mark.parametrize("keys", [{"window_cache_s": 7}, {"ubi": {"query_text": True}}])
async def test_a_reload_loses_no_query_that_waits(tmp_path: Path, keys: dict[str, Any]) -> None:
    async with running(tmp_path, {"ubi": {}}) as (node, app, client):
        await search(client, "words", **UBI)
        await node.bulk_arrived.wait()  # this one is on its way, and two will wait
        for number in range(2):
            await search(client, "words", ext={"ubi": {"query_id": f"w{number}"}})
        await reload(app, tmp_path, **keys)
        await search(client, "words", ext={"ubi": {"query_id": "new"}})
        node.go_on.set()
        await until(lambda: queries(app, "written") == 4)
        assert (queries(app, "failed"), queries(app, "dropped")) == (0, 0)
        assert sorted(one["query_id"] for one in node.written) == ["new", "q", "w0", "w1"]
        # The queue that was taken over has not been closed with the old configuration.
        await until(lambda: len(app._living) == 1)
        await search(client, "words", **UBI)
        await until(lambda: queries(app, "written") == 5)


async def test_a_full_queue_drops_queries_and_answers_searches(tmp_path: Path) -> None:
    async with running(tmp_path, {"ubi": {"max_waiting": 1}}) as (node, app, client):
        await search(client, "words", **UBI)
        await node.bulk_arrived.wait()
        for _ in range(3):
            assert (await search(client, "words", **UBI)).startswith("applied")
        assert queries(app, "dropped") == 2
        node.go_on.set()
        await until(lambda: queries(app, "written") == 2)


async def test_a_refused_account_is_said_once_without_what_users_type(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, {"ubi": {"query_text": True}}) as (node, app, client):
        node.index_status = 403
        secret = {"ubi": {"query_id": "id-secret", "user_query": "text-secret"}}
        for _ in range(2):
            assert (await search(client, "words", ext=secret)).startswith("applied")
            await until(lambda: queries(app, "failed") >= 1)
    assert queries(app, "failed") == 2
    assert node.written == []
    warnings = [one.getMessage() for one in caplog.records if one.name == "sidecar.ubi"]
    assert len(warnings) == 1
    assert "OpenSearch answered 403" in warnings[0]
    assert "secret" not in caplog.text


async def test_the_sidecar_stops_with_shadows_in_flight(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = {"log_file": "shadow.jsonl"}
    async with running(tmp_path, {"shadow_log": log}) as (node, app, client):
        await search(client, "later")
        await node.shadow_arrived.wait()
    assert shadows(app) == 0
    assert not (tmp_path / "config" / "shadow.jsonl").exists()
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_a_failing_shadow_does_not_keep_live_searches_from_being_rescored(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, {}) as (node, app, client):
        node.shadow_status = 503
        node.go_on.set()
        await search(client, "later")
        await until(lambda: shadows(app, "failed", "upstream_status") == 1)
        assert (await search(client, "words")).startswith("applied")
        # Shadows of this kind rest, because the node could not serve one.
        await search(client, "later")
        await until(lambda: shadows(app, "skipped", "resting") == 1)
        assert (await search(client, "words")).startswith("applied")
