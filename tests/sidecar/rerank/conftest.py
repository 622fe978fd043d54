"""The rerank door with the fake model, with other settings, and client programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pipelines.plan import Plan
from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from tests.clients.programs import Command, tencent_js_client
from tests.nodes.java import NotInstalled as NodeNotInstalled
from tests.sidecar.rerank.api import Api, running_api
from tests.sidecar.rerank.client_programs import (
    FOLDER,
    ClientProgram,
    NotInstalled,
    build_go,
    python_with,
    running_client,
)

Serve = Callable[..., AbstractContextManager[Api]]


def plan_of(*models: str, **keys: Any) -> Plan:
    stages = [{"model": model} for model in models]
    return Plan.model_validate({"document": {"body": "body"}, "stages": stages, **keys})


@pytest.fixture(scope="session")
def fake_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """`words` is a cross-encoder, `vectors` a bi-encoder; both count shared words."""
    models = load_models(
        {
            "words": Model(kind="cross-encoder", source="words", backend="fake"),
            "vectors": Model(kind="bi-encoder", source="words", backend="fake"),
        },
        tmp_path_factory.mktemp("models"),
        Metrics(),
    )
    yield models
    models.close()


@pytest.fixture(scope="session")
def fake_plans() -> dict[str, Plan]:
    return {
        "fused": plan_of("words"),
        "vectors": plan_of("vectors"),
        "two-stages": plan_of("vectors", stages=[{"model": "vectors"}, {"model": "words"}]),
    }


@pytest.fixture(scope="session")
def api(
    fake_models: Models, fake_plans: dict[str, Plan], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """The door as it is configured by default: the fake cross-encoder ranks, the other embeds."""
    folder = tmp_path_factory.mktemp("api")
    with running_api(folder, fake_models, {}, fake_plans, frozenset({"vectors"})) as running:
        yield running


@pytest.fixture
def serve(fake_models: Models, fake_plans: dict[str, Plan], tmp_path: Path) -> Serve:
    """Serves with settings of the test's own."""

    def start(*, loading: bool = False, **settings: Any) -> AbstractContextManager[Api]:
        models = None if loading else fake_models
        return running_api(tmp_path, models, settings, fake_plans, frozenset({"vectors"}))

    return start


def _missing(reason: NotInstalled) -> NoReturn:
    # A run that has to prove something must not pass by leaving tests out.
    if os.environ.get("RESCORE_REQUIRE_NODES") == "1":
        raise pytest.fail.Exception(str(reason), pytrace=False) from None
    pytest.skip(str(reason))


@contextmanager
def _running(name: str) -> Iterator[ClientProgram]:
    try:
        python_with(name)
    except NotInstalled as reason:
        _missing(reason)
    with running_client(name) as program:
        yield program


@pytest.fixture(scope="session")
def official() -> Iterator[ClientProgram]:
    """Tencent's, Cohere's and Voyage's own Python clients."""
    with _running("official") as program:
        yield program


@pytest.fixture(scope="session")
def frameworks() -> Iterator[ClientProgram]:
    """LangChain and LlamaIndex."""
    with _running("frameworks") as program:
        yield program


@pytest.fixture(scope="session")
def servers() -> Iterator[ClientProgram]:
    """The clients of Infinity, TEI, Xinference and OpenAI."""
    with _running("servers") as program:
        yield program


@pytest.fixture(scope="session")
def litellm_gateway() -> Iterator[ClientProgram]:
    """LiteLLM."""
    with _running("litellm_gateway") as program:
        yield program


@pytest.fixture(scope="session")
def haystack_rankers() -> Iterator[ClientProgram]:
    """Haystack."""
    with _running("haystack_rankers") as program:
        yield program


@pytest.fixture(scope="session")
def node_client() -> Command:
    """A program that calls RunRerank with Tencent's SDK for Node.js."""
    try:
        return tencent_js_client()
    except NodeNotInstalled as reason:
        _missing(NotInstalled(str(reason)))


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that calls RunRerank with Tencent's Go SDK."""
    program = tmp_path_factory.mktemp("go") / "runrerank"
    try:
        build_go(FOLDER / "go", program)
    except NotInstalled as reason:
        _missing(reason)
    return program
