"""Indexes with a default search pipeline, end to end with a real OpenSearch of each version."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.canned_node import answer as canned_answer
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_took, send
from tests.running import Sidecar, request, running_sidecar

MATCH = {"match": {"body": "copper kettle handle"}}
PLAN = {"rescore_window": 12, "deadline_ms": 20_000, "fusion": {"method": "replace"}}
FILTER = {"request_processors": [{"filter_query": {"query": {"term": {"public": True}}}}]}
PIPELINES: dict[str, dict[str, Any]] = {
    "listed": FILTER,
    "unlisted": FILTER,
    "cuts": {"response_processors": [{"truncate_hits": {"target_size": 3}}]},
}
USES = {"listed": "keeps_order", "cuts": "reranks"}
DEFAULTS = {"d-plain": None, "d-listed": "listed", "d-unlisted": "unlisted", "d-cuts": "cuts"}
SKIPPED = "skipped; reason=search_pipeline; plan=plan"
SETTING = "index.search.default_pipeline"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(node: Node, method: str, target: str, body: object = None) -> RawResponse:
    answer = request((node.host, node.port), method, target, body)
    assert answer.status in (200, 201, 404), answer.body
    return answer


def set_default(node: Node, index: str, pipeline: str | None) -> None:
    ask(node, "PUT", f"/{index}/_settings", {SETTING: pipeline})


@pytest.fixture(scope="module", params=["opensearch_3", "opensearch_2"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    found: Node = request.getfixturevalue(request.param)
    for name, pipeline in PIPELINES.items():
        ask(found, "PUT", f"/_search/pipeline/{name}", pipeline)
    for index, default in DEFAULTS.items():
        # A null would count as a name of its own, or not, by the order of the indexes' ids.
        named = {} if default is None else {SETTING: default}
        ask(found, "PUT", f"/{index}", {"settings": {"number_of_shards": 1, **named}})
        for number in range(8):
            body = "copper kettle handle " * (1 + number % 3) + "word " * number
            source = {"title": f"t{number}", "body": body, "public": number % 2 == 0}
            ask(found, "PUT", f"/{index}/_doc/{number}", source)
    ask(found, "POST", "/_refresh")
    yield found
    for index in DEFAULTS:
        ask(found, "DELETE", f"/{index}")
    for name in PIPELINES:
        ask(found, "DELETE", f"/_search/pipeline/{name}")


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def sidecar(
    node: Node, clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    main = {"upstream": {"urls": [node.url], "pipelines": USES}}
    folder = tmp_path_factory.mktemp("sidecar")
    routes = {"d-*": "plan", "*": "plan"}
    with running_sidecar(
        folder, node.url, {"plan": PLAN}, routes, main=main, clock=clock
    ) as running:
        for index in DEFAULTS:
            learn(running, f"/{index}/_search")
        yield running


def learn(sidecar: Sidecar, target: str) -> None:
    """Search until the sidecar knows the default: a search does not wait for a slow answer."""

    def answers() -> float:
        kinds = ("none", "pipeline", "refused", "failed")
        name = "rescore_default_pipelines_total"
        return sum(sidecar.metric(name, answer=kind) for kind in kinds)

    before = answers()
    while answers() == before:
        request(sidecar.proxy, "POST", target, {"query": MATCH})


def outcome(response: RawResponse) -> str:
    assert response.status == 200, response.body
    (value,) = response.values("X-Rescore")
    return value


def ids(response: RawResponse) -> set[str]:
    return {hit["_id"] for hit in json.loads(response.body)["hits"]["hits"]}


@pytest.mark.parametrize(
    ("index", "expected", "count"),
    [
        ("d-plain", "applied; ", 8),
        ("d-listed", "applied; ", 4),
        (
            "d-unlisted",
            f"{SKIPPED}; key=upstream.pipelines.unlisted",
            4,
        ),
        ("d-cuts", "skipped; reason=search_pipeline; plan=plan", 3),
    ],
)
def test_the_default_is_judged_like_a_named_one(
    node: Node, sidecar: Sidecar, index: str, expected: str, count: int
) -> None:
    body = {"query": MATCH, "size": 8}
    direct = ask(node, "POST", f"/{index}/_search", body)
    through = request(sidecar.proxy, "POST", f"/{index}/_search", body)
    assert outcome(through).startswith(expected)
    assert ids(through) == ids(direct)
    assert len(ids(through)) == count
    if not expected.startswith("applied"):
        assert outcome(through) == expected
        assert mask_took(through.body) == mask_took(direct.body)


def test_a_search_that_names_a_pipeline_has_no_default(sidecar: Sidecar) -> None:
    for name in ("_none", "listed"):
        target = f"/d-unlisted/_search?search_pipeline={name}"
        assert outcome(request(sidecar.proxy, "POST", target, {"query": MATCH})).startswith(
            "applied; "
        )


@pytest.mark.parametrize(
    ("path", "applied", "count"),
    [
        ("/d-plain,d-unlisted", False, 8),  # the only pipeline that is named
        ("/d-listed,d-unlisted", True, 16),  # two names: OpenSearch uses none
        ("/d-plain,d-listed", True, 8),
        ("/d-*", True, 32),
        ("", True, 32),  # without an index list there is no default
    ],
)
def test_several_indexes_have_the_default_that_opensearch_uses(
    node: Node, sidecar: Sidecar, path: str, applied: bool, count: int
) -> None:
    if path:
        learn(sidecar, f"{path}/_search")
    body = {"query": MATCH, "size": 12}
    direct = ask(node, "POST", f"{path}/_search", {**body, "size": 40})
    assert len(json.loads(direct.body)["hits"]["hits"]) == count
    through = request(sidecar.proxy, "POST", f"{path}/_search", body)
    assert outcome(through).startswith("applied; ") is applied
    assert ids(through) <= ids(direct)


def test_each_item_of_an_msearch_is_judged(node: Node, sidecar: Sidecar) -> None:
    lines: list[object] = []
    for index in DEFAULTS:
        lines += [{"index": index}, {"query": MATCH, "size": 8}]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    head = (
        "POST /_msearch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    # An item's caller is the same, but its index list comes without parameters of the URL.
    direct = send(node.host, node.port, head.encode() + body)
    through = send(*sidecar.proxy, head.encode() + body)
    (value,) = through.values("X-Rescore")
    assert value.startswith(
        "skipped; reason=search_pipeline; plan=plan; key=upstream.pipelines.unlisted; "
        "items=4; rescored=2; "
    )
    pairs = zip(
        *(json.loads(answer.body)["responses"] for answer in (direct, through)), strict=True
    )
    for own, rescored in pairs:
        listed = [{hit["_id"] for hit in one["hits"]["hits"]} for one in (own, rescored)]
        assert listed[0] == listed[1]


def test_a_changed_setting_is_seen_after_a_minute(
    node: Node, sidecar: Sidecar, clock: Clock
) -> None:
    target = "/d-plain/_search"

    def search() -> str:
        return outcome(request(sidecar.proxy, "POST", target, {"query": MATCH})).partition(";")[0]

    assert search() == "applied"
    set_default(node, "d-plain", "cuts")
    try:
        assert search() == "applied"
        clock.now += 61
        learn(sidecar, target)
        assert search() == "skipped"
    finally:
        set_default(node, "d-plain", None)
    clock.now += 61
    learn(sidecar, target)
    assert search() == "applied"


class SlowSettings:
    """Answers searches at once, and questions about settings when `answer` is set."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.questions = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            while line := stream.readline():
                length = 0
                while (field := stream.readline().lower()) not in (b"\r\n", b""):
                    if field.startswith(b"content-length:"):
                        length = int(field.partition(b":")[2])
                stream.read(length)
                body = canned_answer()
                if b"/_settings/" in line:
                    self.questions += 1
                    self.answer.wait(30)
                    body = b'{"docs":{"settings":{"%s":"cuts"}}}' % SETTING.encode()
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                stream.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
                stream.flush()

    def close(self) -> None:
        self.answer.set()
        self._socket.close()


def test_a_slow_answer_does_not_keep_a_search(tmp_path: Path) -> None:
    """The search has its answer while OpenSearch still owes the one about the setting."""
    node = SlowSettings()
    plans = {"plan": {**PLAN, "document": {"body": "body"}}}
    try:
        with running_sidecar(tmp_path, node.url, plans, {"docs": "plan"}) as sidecar:
            for _ in range(3):
                response = request(sidecar.proxy, "POST", "/docs/_search", {"query": MATCH})
                assert outcome(response).startswith("applied; ")
                assert not node.answer.is_set()
            assert node.questions == 1
            node.answer.set()
            # Whenever the answer comes, it counts from then on.
            while not sidecar.metric("rescore_default_pipelines_total", answer="pipeline"):
                request(sidecar.proxy, "POST", "/docs/_search", {"query": MATCH})
            response = request(sidecar.proxy, "POST", "/docs/_search", {"query": MATCH})
            key = "upstream.pipelines.cuts"
            assert outcome(response) == f"skipped; reason=search_pipeline; plan=plan; key={key}"
    finally:
        node.close()
