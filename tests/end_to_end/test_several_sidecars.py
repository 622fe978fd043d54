"""Three sidecars behind nginx: pages, Kendra plans and vectors do not depend on the replica."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from opensearchpy import OpenSearch, helpers

from tests.debian_programs import find_program
from tests.nodes.node import Node
from tests.running import Sidecar, request, running_sidecar
from tests.valkey_server import free_port, running_valkey

INDEX = "replicas"
QUERY = {"match": {"body": "copper kettle"}}
DOCUMENTS = 60
SIZE = 10
WORDS = {"kind": "bi-encoder", "source": "words", "backend": "fake"}
PLAN = {"rescore_window": 50, "deadline_ms": 20_000, "fusion": {"method": "replace"}}
KENDRA_PLAN = {"document": {"body": "body"}, "deadline_ms": 20_000}
_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    %s
}
"""
_SERVER = """
    upstream %(name)s { %(method)s %(servers)s }
    server {
        listen 127.0.0.1:%(port)d;
        location / {
            proxy_pass http://%(name)s; proxy_http_version 1.1;
            proxy_set_header Host $http_host; proxy_set_header Connection "";
        }
    }
"""


@contextmanager
def balanced(folder: Path, groups: Sequence[tuple[str, Sequence[Any]]]) -> Iterator[list[int]]:
    """An nginx with one port for each group of addresses; a group's first item is its method."""
    nginx = find_program("nginx", ("nginx",))
    folder.mkdir()
    for _ in range(20):
        ports = [free_port() for _ in groups]
        servers = [
            _SERVER
            % {
                "name": f"group{number}",
                "method": method,
                "servers": " ".join(f"server {address};" for address in addresses),
                "port": port,
            }
            for number, (port, (method, addresses)) in enumerate(zip(ports, groups, strict=True))
        ]
        (folder / "nginx.conf").write_text(_NGINX % "".join(servers))
        process = subprocess.Popen(
            [nginx.path, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
            env=nginx.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if b"start worker" in line or b"built by" in line or b"OS:" in line:
                break
        else:
            process.stderr.close()
            process.wait(timeout=60)
            continue
        break
    else:
        raise AssertionError(b"".join(lines).decode())
    try:
        yield ports
    finally:
        process.kill()
        process.stderr.close()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def node(opensearch_3: Node) -> Iterator[Node]:
    with OpenSearch(opensearch_3.url) as client:
        client.indices.create(index=INDEX, body={"settings": {"number_of_shards": 1}})
        actions = (
            {"_index": INDEX, "_id": f"{n}", "body": f"{'copper ' * (n % 3)}kettle {'x ' * n}"}
            for n in range(DOCUMENTS)
        )
        helpers.bulk(client, actions, refresh=True)
        yield opensearch_3
        client.indices.delete(index=INDEX)


@contextmanager
def three_sidecars(
    node: Node, folder: Path, passage_store: dict[str, Any] | None = None
) -> Iterator[list[Sidecar]]:
    main = {
        "models": {"words": WORDS},
        "window_cache_s": 60,
        "apis": {"kendra_ranking": {"store_file": str(folder / "plans.sqlite"), "plan": "kendra"}},
        "passage_store": passage_store or {},
    }
    plans = {"words": PLAN, "kendra": KENDRA_PLAN}
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                running_sidecar(folder / str(n), node.url, plans, {INDEX: "words"}, main=main)
            )
            for n in range(3)
        ]


def page(client: OpenSearch, start: int) -> list[str]:
    body = {"query": QUERY, "from": start, "size": SIZE}
    return [hit["_id"] for hit in client.search(index=INDEX, body=body)["hits"]["hits"]]


def test_pages_and_plans_through_different_replicas(node: Node, tmp_path: Path) -> None:
    with three_sidecars(node, tmp_path) as sidecars:
        proxies = [sidecar.proxy for sidecar in sidecars]
        groups = [
            ("", proxies),
            ("hash $http_x_opaque_id consistent;", proxies),
            ("", [sidecar.api for sidecar in sidecars]),
        ]
        with balanced(tmp_path / "nginx", groups) as (round_robin, affine, api):
            with OpenSearch(f"http://127.0.0.1:{round_robin}") as client:
                pages_come_from_all(client, sidecars)
            fields = {"X-Opaque-Id": "one client"}
            with OpenSearch(f"http://127.0.0.1:{affine}", headers=fields) as client:
                pages_agree_while_the_index_changes(client)
            plans_are_seen_by_all(api, sidecars)


def pages_come_from_all(client: OpenSearch, sidecars: Sequence[Sidecar]) -> None:
    pages = [page(client, start) for start in range(0, DOCUMENTS, SIZE)]
    seen = [name for one in pages for name in one]
    assert sorted(seen) == sorted(f"{n}" for n in range(DOCUMENTS))
    assert [page(client, start) for start in range(0, DOCUMENTS, SIZE)] == pages
    for sidecar in sidecars:
        searches = sidecar.metric(
            "rescore_searches_total", plan="words", status="applied", reason=""
        )
        assert searches > 0, "the balancer left this one out"


def pages_agree_while_the_index_changes(client: OpenSearch) -> None:
    """A client that stays with one replica sees one order, whatever is indexed meanwhile."""
    pages = [page(client, 0)]
    best = client.get(index=INDEX, id=pages[0][0])["_source"]
    client.delete(index=INDEX, id=pages[0][0], refresh=True)
    for number in range(12):
        client.index(index=INDEX, id=f"new {number}", body={"body": "copper kettle copper"})
    client.indices.refresh(index=INDEX)
    pages += [page(client, start) for start in range(SIZE, 50, SIZE)]
    seen = [name for one in pages for name in one]
    assert len(seen) == len(set(seen)) == 50
    client.index(index=INDEX, id=pages[0][0], body=best)
    for number in range(12):
        client.delete(index=INDEX, id=f"new {number}")
    client.indices.refresh(index=INDEX)


def plans_are_seen_by_all(port: int, sidecars: Sequence[Sidecar]) -> None:
    def open_client(address: str) -> Any:
        return boto3.client(
            "kendra-ranking",
            endpoint_url=f"http://{address}",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )

    names = [f"plan-{number}" for number in range(6)]
    balanced_client = open_client(f"127.0.0.1:{port}")
    made = [balanced_client.create_rescore_execution_plan(Name=name)["Id"] for name in names]
    documents = [
        {"Id": str(n), "OriginalScore": 1.0, "TokenizedBody": body.split()}
        for n, body in enumerate(("a pear", "a copper kettle"))
    ]
    for sidecar in sidecars:
        client = open_client(str(sidecar.api))
        listed = client.list_rescore_execution_plans()["SummaryItems"]
        assert sorted(item["Id"] for item in listed) == sorted(made)
        ranked = client.rescore(
            RescoreExecutionPlanId=made[0], SearchQuery="copper kettle", Documents=documents
        )
        assert ranked["ResultItems"][0]["DocumentId"] == "1"
    balanced_client.delete_rescore_execution_plan(Id=made[0])
    for sidecar in sidecars:
        client = open_client(str(sidecar.api))
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.describe_rescore_execution_plan(Id=made[0])


@pytest.mark.parametrize("shared", ["folder", "server"])
def test_three_sidecars_take_in_what_a_warm_job_has_read(
    node: Node, tmp_path: Path, shared: str
) -> None:
    with ExitStack() as stack:
        store: dict[str, Any] = {"folder": str(tmp_path / "volume")}
        if shared == "server":
            (tmp_path / "valkey").mkdir()
            server = stack.enter_context(running_valkey(tmp_path / "valkey"))
            store = {"url": server.url, "timeout_ms": 1000}
        sidecars = stack.enter_context(three_sidecars(node, tmp_path, store))
        job = yaml.safe_load((tmp_path / "0" / "sidecar.yaml").read_text())
        job["passage_store"] = {"folder": str(tmp_path / "job"), **store}
        (tmp_path / "0" / "job.yaml").write_text(yaml.safe_dump(job))
        arguments = ("--config", str(tmp_path / "0" / "job.yaml"), "--index", INDEX)
        done = subprocess.run(
            [sys.executable, "-m", "sidecar", "warm", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        answered = 0.0
        for sidecar in sidecars:
            end = time.monotonic() + 60
            while shared == "folder" and not sidecar.metric(
                "rescore_passages_stored", model="words"
            ):
                assert time.monotonic() < end
                time.sleep(0.05)
            answer = request(sidecar.proxy, "POST", f"/{INDEX}/_search", {"query": QUERY})
            assert answer.values("X-Rescore")[0].startswith("applied")
            misses = sidecar.metric("rescore_passage_lookups_total", model="words", result="miss")
            in_time = shared == "folder" or sidecar.metric(
                "rescore_shared_store_requests_total", model="words", outcome="in_time"
            )
            assert misses == 0 or not in_time, "its own model read passages"
            answered += in_time
        assert answered > 0
