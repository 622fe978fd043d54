"""Doors: which of them are served, with which plan, and that all of them are closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import get_args

import pytest
from aiohttp import web

from pipelines.plan import Plan
from sidecar.api.doors import DoorError, choose_plan, served_section
from sidecar.api.listener import ApiListener
from sidecar.api.root_service import RootService
from sidecar.config.limits import Limits
from sidecar.config.main_file import Address, Apis, Config, MainFile
from sidecar.config.rerank import BearerShapes, RerankApis
from sidecar.metrics import Metrics
from tests.running import request

PLAN = Plan.model_validate({"stages": [{"model": "m"}], "document": {"body": "body"}})
PLANS = {"b": PLAN, "fused": PLAN, "a": PLAN}
WITH_KEYS = RerankApis(bearer=BearerShapes(keys={"shop": "s3cret"}), tencent=None)


def config(api: str = "127.0.0.1:0", plans: Sequence[str] = ("fused",)) -> Config:
    main = MainFile.model_validate(
        {"upstream": {"urls": ["http://127.0.0.1:9"]}, "api_listen": api}
    )
    return Config(main, dict.fromkeys(plans, PLAN))


@pytest.mark.parametrize(
    ("section", "api", "plans", "is_served"),
    [
        (RerankApis(), "127.0.0.1:0", ("fused",), True),
        (None, "127.0.0.1:0", ("fused",), False),
        (RerankApis(), "127.0.0.1:0", (), False),
        (RerankApis(), "0.0.0.0:0", ("fused",), False),
        (WITH_KEYS, "0.0.0.0:0", ("fused",), True),
        (WITH_KEYS, "0.0.0.0:0", (), False),
    ],
)
def test_when_a_door_is_served(
    section: RerankApis | None,
    api: str,
    plans: Sequence[str],
    is_served: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        served = served_section(config(api, plans), "rerank", section)
    assert served is (section if is_served else None)
    hidden = section is not None and bool(plans) and not is_served
    assert ("apis.rerank is not served" in caplog.text) == hidden


def test_which_plan_a_door_uses() -> None:
    assert choose_plan(PLANS, "b") == "b"
    assert choose_plan(PLANS, None) == "fused"
    assert choose_plan({"c": PLAN, "b": PLAN}, None) == "b"
    with pytest.raises(ValueError, match="there is no plan 'c'; the plans are: a, b, fused"):
        choose_plan(PLANS, "c")
    with pytest.raises(ValueError, match="a plan is needed; the plans are: none"):
        choose_plan({}, None)


def test_every_section_of_apis_says_whether_it_needs_loopback() -> None:
    for name, field in Apis.model_fields.items():
        (section,) = (kind for kind in get_args(field.annotation) if kind is not type(None))
        assert isinstance(section.needs_loopback, property), name


class Recorded:
    """A door that writes down what happens to it; `fails`: at its start."""

    def __init__(self, name: str, log: list[str], fails: bool = False) -> None:
        self._name, self._log, self._fails = name, log, fails

    async def start(self) -> None:
        self._log.append(f"start {self._name}")
        if self._fails:
            raise DoorError(f"apis.{self._name}.file: cannot be used")

    def routes(self) -> Sequence[web.RouteDef]:
        return (web.get(f"/{self._name}", self._answer),)

    def root_services(self) -> Sequence[RootService]:
        return (RootService(self._name, lambda request: request.method == "PUT", self._answer),)

    async def close(self) -> None:
        self._log.append(f"close {self._name}")

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(text=self._name)


async def ask(address: Address, method: str, path: str) -> bytes:
    return (await asyncio.to_thread(request, address, method, path)).body


async def test_a_listener_serves_its_doors_and_closes_them() -> None:
    log: list[str] = []
    listener = ApiListener(Limits(), Metrics())
    doors = [Recorded("one", log), Recorded("two", log)]
    address = await listener.start(doors, Address("127.0.0.1", 0), None)
    assert [await ask(address, "GET", f"/{name}") for name in ("one", "two")] == [b"one", b"two"]
    # At the path that they share, the first one that owns the request answers.
    assert await ask(address, "PUT", "/") == b"one"
    await listener.stop()
    assert log == ["start one", "start two", "close two", "close one"]


async def test_all_doors_are_closed_after_a_start_that_failed() -> None:
    log: list[str] = []
    listener = ApiListener(Limits(), Metrics())
    doors = [Recorded("one", log), Recorded("two", log, fails=True), Recorded("three", log)]
    with pytest.raises(DoorError, match=r"apis\.two\.file"):
        await listener.start(doors, Address("127.0.0.1", 0), None)
    await listener.stop()
    assert log == ["start one", "start two", "close three", "close two", "close one"]
