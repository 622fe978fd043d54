"""Searches through the proxy with a model behind a service: what each fault of it leaves."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.canned_node import canned_node
from tests.running import WORDS, Sidecar, request, running_sidecar
from tests.sidecar.models.remote.service import DROP, HANG, Service, rank, running_service

QUERY = {"query": {"match": {"body": "copper handle"}}}
# Positions of the hits in OpenSearch's answer, in the order of an answer of the sidecar.
OPENSEARCH = [0, 1, 2, 3]
FIRST_STAGE = [3, 0, 2, 1]
SERVICE = [1, 0, 2, 3]


def least_words(path: str, call: Any) -> Any:
    """Ranks the other way round than the first stage."""
    answer = rank(path, call)
    for one in answer["results"]:
        one["relevance_score"] = 1 - one["relevance_score"]
    return answer


def spoil(edit: Callable[[list[dict[str, Any]]], object]) -> Callable[[str, Any], Any]:
    def answer(path: str, call: Any) -> Any:
        whole = rank(path, call)
        edit(whole["results"])
        return whole

    return answer


def other_scale(results: list[dict[str, Any]]) -> None:
    for one in results:
        one["relevance_score"] *= -10


# What the service does: its answer, then reason of the header, outcome of the metric, log line.
FAULTS: dict[str, tuple[Callable[[str, Any], Any], str, str, bool]] = {
    "slow": (lambda *_: HANG, "deadline", "deadline", False),
    "down": (lambda *_: DROP, "model", "connection", True),
    "error": (lambda *_: 500, "model", "status", True),
    "moved": (lambda *_: 302, "model", "status", True),
    "busy": (lambda *_: 429, "overload", "busy", True),
    "no JSON": (lambda *_: b"<html>", "scores", "answer", True),
    "wrong shape": (lambda *_: {"data": []}, "scores", "answer", True),
    "NaN": (
        spoil(lambda rows: rows[0].update(relevance_score=float("nan"))),
        "scores",
        "answer",
        True,
    ),
    "half an answer": (spoil(lambda rows: rows.pop()), "scores", "answer", True),
    "other model": (spoil(other_scale), "model", "other_model", True),
}


def search(sidecar: Sidecar, index: str) -> tuple[str, list[int]]:
    """The header X-Rescore, and the order of the hits."""
    answer = request(sidecar.proxy, "POST", f"/{index}/_search", QUERY)
    hits = json.loads(answer.body)["hits"]["hits"]
    return answer.values("X-Rescore")[0], [int(hit["_id"].rsplit("-", 1)[1]) for hit in hits]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Sidecar]]:
    """Plan `two` has a stage before the service's, and plan `one` has none."""
    with (
        running_service(least_words) as service,
        canned_node() as node,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("sidecar.models.remote.service_client._LOG_S", 0.0)
        far = {
            "kind": "cross-encoder",
            "source": "far",
            "backend": "remote",
            "url": service.url,
            "api": "cohere",
            "scores": "probability",
            "key": "s3cret",
            "timeout_ms": 60_000,
        }
        stages = {"two": [{"model": "words"}, {"model": "far"}], "one": [{"model": "far"}]}
        plans = {
            name: {"stages": some, "fusion": {"method": "replace"}, "deadline_ms": 60_000}
            for name, some in stages.items()
        }
        plans |= {f"{name}-soon": {**plan, "deadline_ms": 4000} for name, plan in plans.items()}
        main = {"models": {"words": WORDS, "far": far}, "window_cache_s": 0, "window_order_s": 0}
        routes = {name: name for name in plans}
        folder = tmp_path_factory.mktemp("remote")
        with running_sidecar(folder, node, plans, routes, main=main) as sidecar:
            yield service, sidecar


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_leaves_the_order_of_the_stage_before(
    fault: str, running: tuple[Service, Sidecar], caplog: pytest.LogCaptureFixture
) -> None:
    answer, reason, outcome, is_logged = FAULTS[fault]
    service, sidecar = running
    service.answer = least_words
    header, order = search(sidecar, "two")
    assert header.startswith("applied")
    assert order == SERVICE
    labels = {"model": "far", "outcome": outcome}
    before = sidecar.metric("rescore_remote_calls_total", **labels)
    service.answer = answer
    end = "-soon" if fault == "slow" else ""
    with caplog.at_level(logging.INFO, "sidecar"):
        header, order = search(sidecar, f"two{end}")
        assert header.startswith(f"partial; reason={reason}; ")
        assert order == FIRST_STAGE
        header, order = search(sidecar, f"one{end}")
        assert header.startswith(f"failed; reason={reason}; ")
        assert order == OPENSEARCH
    service.released.set()
    # An answer at the deadline does not wait until the call has been given up.
    while sidecar.metric("rescore_remote_calls_total", **labels) < before + 2:
        request(sidecar.api, "GET", "/healthz")
    assert sidecar.metric("rescore_remote_calls_total", **labels) == before + 2
    lines = [one for one in caplog.records if one.name.startswith("sidecar.models")]
    assert len(lines) == 2 * is_logged
    assert not any(word in caplog.text for word in ("s3cret", "kettle", "Traceback"))
