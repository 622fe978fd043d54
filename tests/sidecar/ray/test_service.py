"""Real Ray Serve behind `backend: remote`: the same numbers as here, bounds, a killed replica."""

import asyncio
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sidecar.config.main_file import Model
from sidecar.demo.collection import SAMPLE, Collection, read_collection
from sidecar.demo.demo import run_demo
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from tests.canned_node import canned_node
from tests.running import WORDS, Sidecar, request, running_sidecar
from tests.sidecar.ray.conftest import KEY, MINILM
from tests.sidecar.ray.ray_service import ROOT, RayService, python_with_ray

TEXTS = ["a copper kettle", "a tree", "the red apple", "an apple tree, red as copper"]
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def far(service: RayService, name: str, **keys: Any) -> dict[str, Any]:
    pairs = name != "minilm"
    return {
        "kind": "cross-encoder" if pairs else "bi-encoder",
        "source": name,
        "backend": "remote",
        "url": service.url,
        "api": "cohere" if pairs else "openai-embeddings",
        **({"scores": "probability"} if pairs else {}),
        "key": KEY,
        "timeout_ms": 60_000,
        **keys,
    }


def score(models: Models, name: str) -> list[float]:
    async def run() -> list[float]:
        scorer = models.scorer(time.monotonic() + 200)
        return [one for one in await scorer.score(name, "red apple", TEXTS) if one is not None]

    return asyncio.run(run())


def post(service: RayService, path: str, body: bytes, key: str = KEY) -> tuple[int, Any]:
    call = urllib.request.Request(
        service.url + path, body, {"Authorization": f"Bearer {key}"}, method="POST"
    )
    try:
        with urllib.request.urlopen(call, timeout=100) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.model
def test_replicas_score_as_the_same_models_do_here(
    ray_service: RayService, pairs: Model, tmp_path: Path
) -> None:
    models = {
        "minilm": MINILM,
        "pairs": pairs,
        "far-minilm": Model.model_validate(far(ray_service, "minilm")),
        "far-pairs": Model.model_validate(far(ray_service, "pairs")),
    }
    with closing(load_models(models, tmp_path, Metrics(), cache=tmp_path / "cache")) as loaded:
        for name in ("minilm", "pairs"):
            here, there = score(loaded, name), score(loaded, f"far-{name}")
            # Texts of other calls may be in a batch, which changes how numbers are rounded.
            assert there == pytest.approx(here, abs=2e-2)
            assert np.argsort(there).tolist() == np.argsort(here).tolist()


def test_replicas_listen_on_loopback_only(ray_service: RayService) -> None:
    assert len(ray_service.replicas()) == 2
    assert ray_service.listening() <= LOOPBACK


@pytest.mark.parametrize(
    ("path", "body", "key", "status"),
    [
        ("/v1/rerank", {"query": "a", "documents": ["b"], "model": "words"}, KEY, 200),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "model": "words"}, "wrong", 401),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "model": "other"}, KEY, 400),
        ("/v1/rerank", {"query": "a", "documents": ["b"] * 21, "model": "words"}, KEY, 400),
        ("/v1/rerank", {"query": "a", "documents": ["b" * 70_000], "model": "words"}, KEY, 413),
        ("/v1/embeddings", {"input": ["b"], "model": "words"}, KEY, 400),
        ("/v1/score", {}, KEY, 404),
    ],
)
def test_calls_are_within_bounds(
    ray_service: RayService, path: str, body: dict[str, Any], key: str, status: int
) -> None:
    assert post(ray_service, path, json.dumps(body).encode(), key)[0] == status


def test_serve_run_builds_the_application(ray_service: RayService, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        "upstream: {urls: ['http://127.0.0.1:9200']}\n"
        "models: {words: {kind: cross-encoder, source: words, backend: fake}}\n"
        "ray: {replicas: {min: 1, max: 3, cores: 2}}\n"
    )
    program = (
        "import sys; from sidecar.ray import application\n"
        "built = application({'config': sys.argv[1]})._bound_deployment\n"
        "scaling = built._deployment_config.autoscaling_config\n"
        "print(built.name, scaling.max_replicas, built.ray_actor_options['num_cpus'])"
    )
    ran = subprocess.run(
        [str(python_with_ray()), "-W", "ignore", "-c", program, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["models", "3", "2"]


class Searches:
    """Clients that search until they are told to end; every search has another query text."""

    def __init__(self, sidecar: Sidecar, clients: int) -> None:
        self._sidecar = sidecar
        self._ending = threading.Event()
        self._answered = threading.Condition()
        self.headers: list[tuple[float, str]] = []
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, client: int) -> None:
        number = 0
        while not self._ending.is_set():
            number += 1
            query = {"query": {"match": {"body": f"copper kettle {client} {number}"}}}
            begun = time.monotonic()
            try:
                answer = request(self._sidecar.proxy, "POST", "/two/_search", query)
                hits = json.loads(answer.body)["hits"]["hits"]
                if answer.status != 200 or len(hits) != 4:
                    self.lost.append(f"{answer.status}, {len(hits)} hits")
                    continue
                header = answer.values("X-Rescore")[0]
            except Exception as error:
                self.lost.append(repr(error))
                continue
            with self._answered:
                self.headers.append((begun, header))
                self._answered.notify_all()

    def wait_for_applied(self, count: int, since: float) -> None:
        """Wait until this number of searches that began after `since` have been rescored."""
        with self._answered:
            enough = self._answered.wait_for(
                lambda: (
                    sum(begun > since and one.startswith("applied") for begun, one in self.headers)
                    >= count
                ),
                timeout=120,
            )
        assert enough, self.headers[-5:]

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.model
def test_a_killed_replica_loses_no_search(ray_service: RayService, tmp_path: Path) -> None:
    plan = {
        "stages": [{"model": "words"}, {"model": "far"}],
        "fusion": {"method": "replace"},
        "deadline_ms": 20_000,
    }
    main = {
        "models": {"words": WORDS, "far": far(ray_service, "pairs", batch=2)},
        "window_cache_s": 0,
        "window_order_s": 0,
    }
    with (
        canned_node() as node,
        running_sidecar(tmp_path, node, {"two": plan}, {"two": "two"}, main=main) as sidecar,
    ):
        searches = Searches(sidecar, clients=4)
        try:
            searches.wait_for_applied(10, 0)
            killed = ray_service.kill_replica()
            searches.wait_for_applied(40, time.monotonic())
        finally:
            searches.end()
    assert killed not in ray_service.replicas()
    assert searches.lost == []
    others = {header for _, header in searches.headers if not header.startswith("applied")}
    assert all(header.startswith(("partial; reason=", "failed; reason=")) for header in others)


@pytest.mark.model
async def test_the_demo_lets_ray_run_its_model(
    ray_service: RayService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_collection(SAMPLE)
    query = next(iter(whole.queries))
    judged = [document for document in whole.documents if document.id in whole.qrels[query]]
    small = Collection(
        (*judged, *whole.documents[:6]),
        {query: whole.queries[query]},
        {query: whole.qrels[query]},
    )

    @asynccontextmanager
    async def served(name: str, model: Model, report: Any) -> AsyncIterator[Model]:
        assert (name, model) == ("minilm", MINILM)
        yield Model.model_validate(far(ray_service, name))

    monkeypatch.setattr("sidecar.demo.demo.ray_service", served)
    monkeypatch.setattr("sidecar.demo.demo.read_collection", lambda _: small)
    screen = StringIO()
    await run_demo(
        Console(file=screen), once=True, port=0, api_port=0, opensearch_url=None, ray=True
    )
    assert "1 judged queries" in screen.getvalue()
    assert "Not every search was rescored" not in screen.getvalue()
    assert f"ray    {ray_service.url}" in screen.getvalue()
