"""`sidecar demo --ray`: what it says without Ray. With Ray, see `tests/sidecar/ray/`."""

import importlib.util

import pytest

from sidecar.config.main_file import Model
from sidecar.demo.errors import DemoError
from sidecar.demo.ray import ray_service


async def start(model: Model) -> None:
    async with ray_service("m", model, print):
        pass


async def test_without_ray_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DemoError, match=r"pip install 'rescore-sidecar\[ray\]'"):
        await start(Model(kind="bi-encoder", source="words", backend="fake"))


async def test_a_service_that_ends_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(DemoError, match="Ray Serve did not start: .*sidecar.yaml:.*no folder"):
        await start(Model(kind="bi-encoder", source="/nowhere/at/all"))
