"""Shadow, split, interleave, step back and UBI through the proxy, with a real OpenSearch."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.scoring import Enough
from sidecar.adoption.step_back import LEAST_SEARCHES, PROBES
from sidecar.config_reading.config_files import read_config
from sidecar.models.scorers import Models
from tests.nodes.node import Node
from tests.raw_http import RawResponse, mask_content_length, mask_took, send
from tests.running import Sidecar, request, running_sidecar

INDEX = "adopt"
UBI_INDEX = "adopt-ubi"
QUERY = {"match": {"body": "copper kettle"}}
WHOLE = {"document": {"body": "body"}, "rescore_window": 20, "deadline_ms": 20_000}
REPLACE = {**WHOLE, "fusion": {"method": "replace"}}
PLANS = {
    "live": REPLACE,
    "later": {**REPLACE, "mode": "shadow"},
    "relative": {**WHOLE, "fusion": {"method": "relative"}},
    "slow": {**REPLACE, "guard": {"added_p95_ms": 0.0001, "window_s": 3600}},
}
# Each is an alias of the index, and a route of its own.
ROUTES: Mapping[str, Mapping[str, Any]] = {
    "adopt-shadow": {"plan": "later"},
    "adopt-same": {"plan": "later"},
    "adopt-user": {"split": {"live": 50, "off": 50}, "by": {"header": "X-User"}},
    "adopt-cookie": {"split": {"live": 50, "off": 50}, "by": {"cookie": "user"}},
    "adopt-pair": {"interleave": ["live", "relative"]},
    "adopt-off": {"interleave": ["live", "off"]},
    "adopt-slow": {"plan": "slow"},
}
MAIN: Mapping[str, Any] = {
    "routes": [{"index": index, **route} for index, route in ROUTES.items()],
    "shadow_log": {"log_file": "shadow.jsonl", "query_text": True},
    "ubi": {"index": UBI_INDEX, "section": "cut"},
}
WAIT_S = 60.0


@pytest.fixture(scope="module")
def node(opensearch_3: Node) -> Iterator[Node]:
    address = (opensearch_3.host, opensearch_3.port)
    settings = {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "aliases": {name: {} for name in ROUTES},
    }
    assert request(address, "PUT", f"/{INDEX}", settings).status == 200
    lines: list[object] = []
    for n in range(30):
        body = f"{'copper ' * (n % 4)}kettle {'x ' * (40 - n)} w{n}"
        lines += [{"index": {"_id": str(n)}}, {"body": body}]
    assert send_lines(address, f"/{INDEX}/_bulk?refresh", lines).status == 200
    yield opensearch_3
    request(address, "DELETE", f"/{INDEX}")
    request(address, "DELETE", f"/{UBI_INDEX}")


@pytest.fixture(scope="module")
def shared(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with running_sidecar(
        tmp_path_factory.mktemp("shared"), node.url, PLANS, {}, main=MAIN
    ) as running:
        yield running


@pytest.fixture(scope="module")
def without_cache(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    main = {**MAIN, "window_cache_s": 0}
    with running_sidecar(
        tmp_path_factory.mktemp("uncached"), node.url, PLANS, {}, main=main
    ) as running:
        yield running


def send_lines(address: tuple[str, int], target: str, lines: Sequence[object]) -> RawResponse:
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    head = (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return send(*address, head.encode() + data)


def search(
    running: Sidecar | Node,
    index: str = INDEX,
    start: int = 0,
    fields: Mapping[str, str] | None = None,
    **members: Any,
) -> RawResponse:
    address = running.proxy if isinstance(running, Sidecar) else (running.host, running.port)
    body = {"query": QUERY, "from": start, "size": 5, **members}
    return request(address, "POST", f"/{index}/_search", body, fields)


def field(response: RawResponse, name: str) -> str:
    return ", ".join(response.values(name))


def ids(response: RawResponse) -> list[str]:
    return [hit["_id"] for hit in json.loads(response.body)["hits"]["hits"]]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def shadows(running: Sidecar) -> float:
    return running.metric("rescore_shadows_total", plan="later", status="applied", reason="")


def test_a_shadow_leaves_the_answer_alone_and_reports(node: Node, shared: Sidecar) -> None:
    # For the model, the document with this word is the best.
    fields = {"X-Rescore-Query": "copper%20kettle%20w3"}
    plain = search(node, "adopt-shadow")
    shadowed = search(shared, "adopt-shadow", fields=fields)
    assert mask_took(shadowed.body) == mask_took(plain.body)
    assert field(shadowed, "x-rescore") == "shadow; plan=later"
    wait_for(lambda: shadows(shared) == 1)
    own = ids(search(node, size=20))
    live = ids(search(shared, "adopt-shadow", fields={**fields, "X-Rescore-Plan": "live"}, size=20))
    assert own[0] != live[0] == "3"
    assert shared.metric("rescore_shadow_overlap_at_10_count", plan="later") == 1
    # Each item of an `_msearch` is a shadow of its own.
    lines = [{"index": "adopt-shadow"}, {"query": QUERY, "size": 3}] * 2
    many = send_lines(shared.proxy, "/_msearch", lines)
    assert field(many, "x-rescore") == "shadow; plan=later; items=2; rescored=0"
    wait_for(lambda: shadows(shared) == 3)
    file = shared.folder / "shadow.jsonl"
    wait_for(lambda: file.exists() and file.read_text().count("\n") == 3)
    first = json.loads(file.read_text().splitlines()[0])
    assert (first["query"], first["window"]) == ("copper kettle w3", 20)
    assert first["index"] == "adopt-shadow"
    assert first["first_changed"] is (own[0] != live[0])
    assert first["overlap_at_10"] == len(set(own[:10]) & set(live[:10])) / 10
    assert 0 < first["rank_biased_overlap"] < 1


BODY = json.dumps({"query": QUERY, "size": 3, "from": 1}).encode()
JSON = b"Content-Type: application/json\r\n"
KINDS: Mapping[str, tuple[bytes, bytes, bytes]] = {
    "search": (b"POST /adopt-same/_search", JSON, BODY),
    "get": (b"GET /adopt-same/_search", JSON, BODY),
    "uri": (b"GET /adopt-same/_search?q=body:kettle&size=4", b"", b""),
    "no query": (b"GET /adopt-same/_search", b"", b""),
    "head": (b"HEAD /adopt-same/_search", b"", b""),
    "pretty": (b"POST /adopt-same/_search?pretty", JSON, BODY),
    "yaml": (b"POST /adopt-same/_search?format=yaml", JSON, BODY),
    "filtered": (b"POST /adopt-same/_search?filter_path=hits.hits._id", JSON, BODY),
    "sorted": (
        b"POST /adopt-same/_search",
        JSON,
        b'{"query":{"match_all":{}},"sort":["_doc"],"size":2}',
    ),
    "opaque id": (b"POST /adopt-same/_search", JSON + b"X-Opaque-Id: me\r\n", BODY),
    "counted": (b"POST /adopt-same/_search?size=0", JSON, b'{"query":{"match_all":{}}}'),
    "wrong query": (b"POST /adopt-same/_search", JSON, b'{"query":{"nothing":{}}}'),
    "not json": (b"POST /adopt-same/_search", JSON, b"{"),
    "wrong type": (b"POST /adopt-same/_search", b"Content-Type: text/plain\r\n", BODY),
    "template": (
        b"POST /adopt-same/_search/template",
        JSON,
        b'{"source":{"query":{"match":{"body":"{{q}}"}}},"params":{"q":"kettle"}}',
    ),
    "count": (b"POST /adopt-same/_count", JSON, b'{"query":{"match":{"body":"kettle"}}}'),
    "msearch": (
        b"POST /_msearch",
        b"Content-Type: application/x-ndjson\r\n",
        b'{"index":"adopt-same"}\n' + BODY + b"\n{}\n{}\n",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_shadow_plan_changes_no_byte_of_any_answer(
    node: Node, shared: Sidecar, kind: str
) -> None:
    line, fields, body = KINDS[kind]
    raw = b"%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
        line,
        fields,
        len(body),
        body,
    )
    plain, shadowed = send(node.host, node.port, raw), send(*shared.proxy, raw)
    head = re.sub(rb"(?im)^x-rescore:[^\n]*\n", b"", shadowed.head)
    assert mask_content_length(head) == mask_content_length(plain.head)
    assert mask_took(shadowed.body) == mask_took(plain.body)
    assert (b"\r\nX-Rescore: " in shadowed.head) == (kind not in ("count", "head"))


@pytest.mark.parametrize(
    ("index", "write"),
    [
        ("adopt-user", lambda user: {"X-User": user}),
        ("adopt-cookie", lambda user: {"Cookie": f"theme=dark; user={user}"}),
    ],
)
def test_a_split_keeps_each_user_in_one_arm(
    node: Node, shared: Sidecar, index: str, write: Callable[[str], dict[str, str]]
) -> None:
    arms = {}
    for user in ("ann", "bob", "cid", "dan", "eve", "flo", "gus", "hal"):
        seen = {field(search(shared, index, fields=write(user)), "x-rescore") for _ in range(2)}
        arms[user] = {line.split(";")[0] for line in seen if line}
    assert all(len(arm) == 1 for arm in arms.values())
    assert {next(iter(arm)) for arm in arms.values()} == {"applied", "skipped"}
    off = next(user for user, arm in arms.items() if arm == {"skipped"})
    answer = search(shared, index, fields=write(off))
    assert field(answer, "x-rescore") == "skipped; reason=split_off; plan=off"
    assert ids(answer) == ids(search(node))
    forced = search(shared, index, fields={**write(off), "X-Rescore-Plan": "live"})
    assert field(forced, "x-rescore").startswith("applied; plan=live")


@pytest.mark.parametrize("fixture", ["shared", "without_cache"])
@pytest.mark.parametrize(("index", "second"), [("adopt-pair", "relative"), ("adopt-off", "off")])
def test_interleaved_pages_agree_and_name_their_teams(
    request: pytest.FixtureRequest, fixture: str, index: str, second: str
) -> None:
    running: Sidecar = request.getfixturevalue(fixture)
    fields = {"X-Rescore-Teams": "on"}
    explain = {"ext": {"rescore": {"explain": True}}}
    pages = [search(running, index, start, fields, **explain) for start in (0, 5, 10, 15, 20)]
    assert field(pages[0], "x-rescore").startswith(f"applied; plan=live+{second}; window=20")
    teams = "".join(field(page, "x-rescore-teams") for page in pages[:4])
    assert (len(teams), teams.count("a"), teams.count("b")) == (20, 10, 10)
    seen = [name for page in pages for name in ids(page)]
    assert len(set(seen)) == len(seen) == 25
    explained = [
        hit["_rescore"]["team"]
        for page in pages[:4]
        for hit in json.loads(page.body)["hits"]["hits"]
    ]
    assert "".join(explained) == teams
    scores = [hit["_score"] for page in pages for hit in json.loads(page.body)["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert field(search(running, index), "x-rescore-teams") == ""


def test_interleaved_items_of_an_msearch_name_their_teams(shared: Sidecar) -> None:
    explained: list[str] = []
    for start in (0, 10):
        section = {"ext": {"rescore": {"explain": True}}}
        item = {"query": QUERY, "from": start, "size": 10, **section}
        lines = [{"index": "adopt-pair"}, item, {"index": INDEX}, {"size": 0}]
        answer = send_lines(shared.proxy, "/_msearch", lines)
        assert field(answer, "x-rescore").startswith("applied; plan=live+relative; items=1")
        first, _ = json.loads(answer.body)["responses"]
        explained += [hit["_rescore"]["team"] for hit in first["hits"]["hits"]]
    assert (explained.count("a"), explained.count("b")) == (10, 10)


def test_a_plan_steps_back(shared: Sidecar) -> None:
    lines = [field(search(shared, "adopt-slow"), "x-rescore") for _ in range(21)]
    assert all(line.startswith("applied") for line in lines[:20])
    assert lines[20] == "skipped; reason=stepped_back; plan=slow"
    assert shared.metric("rescore_stepped_back", plan="slow") == 1


class Failing:
    """A scorer that fails until it recovers."""

    spread = 1.0
    highest = None
    fails = True

    def expect(self, query_text: str) -> None:
        """There is nothing to begin with."""

    def unread(self, texts: Sequence[str]) -> Sequence[str]:
        return texts

    async def recall(self, query_text: str, texts: Sequence[str], deadline: float | None) -> None:
        return None

    async def estimate(self, query_text: str, texts: Sequence[str], deadline: float | None) -> None:
        return None

    async def score(
        self,
        query_text: str,
        texts: Sequence[str],
        deadline: float | None,
        enough: Enough | None = None,
    ) -> list[float | None]:
        if self.fails:
            raise RuntimeError("the model fails")
        return [float(len(text)) for text in texts]

    def close(self) -> None:
        """Nothing is open."""


def test_a_model_that_recovers_is_tried_and_used_again(node: Node, tmp_path: Path) -> None:
    now, model = [1000.0], Failing()
    plan = {**REPLACE, "guard": {"failed_share": 0.2, "window_s": 10}}
    main = {"routes": [{"index": INDEX, "plan": "guarded"}], "window_cache_s": 0}
    with running_sidecar(
        *(tmp_path, node.url, {"guarded": plan}, {}, Models({"words": model}), main),
        clock=lambda: now[0],
    ) as running:

        def statuses(searches: int) -> list[str]:
            found = [field(search(running), "x-rescore") for _ in range(searches)]
            return [line.partition(";")[0] for line in found]

        assert statuses(LEAST_SEARCHES + 1) == ["failed"] * LEAST_SEARCHES + ["skipped"]
        # A reload that changes neither plan nor model does not try it earlier.
        path = tmp_path / "sidecar.yaml"
        changed = yaml.safe_load(path.read_text()) | {"idle_timeout_ms": 55_000}
        path.write_text(yaml.safe_dump(changed))
        assert running.call(running.app.reload(read_config(path, {})))
        assert statuses(1) == ["skipped"]
        assert running.metric("rescore_stepped_back", plan="guarded") == 1
        now[0] += 10  # half open, and the model still fails: back for another window
        assert statuses(PROBES + 1) == ["failed"] * PROBES + ["skipped"]
        model.fails = False
        now[0] += 9
        assert statuses(1) == ["skipped"]
        now[0] += 1
        assert statuses(PROBES + 3) == ["applied"] * (PROBES + 3)
        assert running.metric("rescore_stepped_back", plan="guarded") == 0
        assert running.metric("rescore_step_backs_total", plan="guarded") == 1


def test_queries_are_written_for_user_behavior_insights(node: Node, shared: Sidecar) -> None:
    section = {
        "query_id": "q1",
        "client_id": "c1",
        "user_query": "copper kettle",
        "query_attributes": {"page": "home", "rescore_plan": "mine", "nested": {"a": 1}},
    }
    answer = search(shared, "adopt-off", fields={"X-Rescore-Teams": "on"}, ext={"ubi": section})
    off = search(shared, "adopt-off", fields={"X-Rescore": "off"}, ext={"ubi": {"query_id": "q2"}})
    assert off.status == 200
    ubi_ext = [{"ubi": {"query_id": name}} for name in ("q3", "q4")]
    lines = [
        *({"index": "adopt-off"}, {"query": QUERY, "size": 4, "ext": ubi_ext[0]}),
        *({"index": "adopt-user"}, {"query": QUERY, "sort": ["_doc"], "ext": ubi_ext[1]}),
    ]
    many = json.loads(send_lines(shared.proxy, "/_msearch", lines).body)["responses"]
    wait_for(lambda: shared.metric("rescore_ubi_queries_total", result="written") == 4)
    address = (node.host, node.port)
    request(address, "POST", f"/{UBI_INDEX}/_refresh")
    found = request(address, "POST", f"/{UBI_INDEX}/_search", {"sort": ["query_id"]})
    first, second, third, fourth = (
        hit["_source"] for hit in json.loads(found.body)["hits"]["hits"]
    )
    assert first["query_response_hit_ids"] == ids(answer)
    assert first["query_attributes"] == {
        "page": "home",
        "rescore_plan": "live+off",
        "rescore_interleave": {"a": "live", "b": "off"},
        "rescore_teams": field(answer, "x-rescore-teams"),
    }
    assert (first["client_id"], "user_query" in first) == ("c1", False)
    assert second["query_attributes"] == {"rescore_plan": "off"}
    assert third["query_response_hit_ids"] == [hit["_id"] for hit in many[0]["hits"]["hits"]]
    assert len(third["query_attributes"]["rescore_teams"]) == 4
    assert many[1]["status"] == 200
    assert fourth["query_attributes"] == {"rescore_plan": "off"}
