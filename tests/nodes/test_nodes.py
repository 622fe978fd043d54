"""The nodes are real, and they end: with `stop`, and with a test run that is killed.

Tests that start a node of their own also ask for `opensearch_2`: it skips them, with words, where
no node can be started.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nodes.node import OPENSEARCH_2, Node, start_node
from tests.raw_http import send

_ROOT = Path(__file__).parents[2]


def test_answers_with_its_version(opensearch: Node) -> None:
    response = send(opensearch.host, opensearch.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert json.loads(response.body)["version"]["number"] == opensearch.version


def test_indexes_and_finds(opensearch: Node) -> None:
    from opensearchpy import OpenSearch

    with OpenSearch(opensearch.url) as client:
        for title in ("Red running shoes", "A blue raincoat"):
            client.index(index="nodes", body={"title": title}, params={"refresh": "true"})
        found = client.search(index="nodes", body={"query": {"match": {"title": "shoes"}}})
        client.indices.delete(index="nodes")
    assert [hit["_source"] for hit in found["hits"]["hits"]] == [{"title": "Red running shoes"}]


def test_has_search_pipelines(opensearch: Node) -> None:
    from opensearchpy import OpenSearch

    truncate = {"response_processors": [{"truncate_hits": {"target_size": 1}}]}
    with OpenSearch(opensearch.url) as client:
        for _ in range(2):
            client.index(index="nodes-pipeline", body={"title": "x"}, params={"refresh": "true"})
        found = client.search(index="nodes-pipeline", body={"search_pipeline": truncate})
        client.indices.delete(index="nodes-pipeline")
    assert len(found["hits"]["hits"]) == 1


def test_stop_leaves_no_process(tmp_path: Path, opensearch_2: Node) -> None:
    node = start_node(OPENSEARCH_2, tmp_path)
    node.stop()
    node.stop()
    with pytest.raises(ProcessLookupError):
        os.killpg(node.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        send(node.host, node.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def test_node_ends_with_a_killed_test_run(tmp_path: Path, opensearch_2: Node) -> None:
    script = (
        "import pathlib, signal, sys\n"
        "from tests.nodes.node import OPENSEARCH_2, start_node\n"
        "node = start_node(OPENSEARCH_2, pathlib.Path(sys.argv[1]))\n"
        "print(node.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], cwd=_ROOT, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        node_pid = int(run.stdout.readline())
        watch = os.pidfd_open(node_pid)
        try:
            run.send_signal(signal.SIGKILL)
            ended, _, _ = select.select([watch], [], [], 10)
        finally:
            os.close(watch)
    assert ended


def test_failed_start_shows_the_log(tmp_path: Path, opensearch_2: Node) -> None:
    (tmp_path / "node_1").write_text("a file where the node wants its folder")
    with pytest.raises(RuntimeError, match=r"did not start: it ended(?s:.*)node_1"):
        start_node(OPENSEARCH_2, tmp_path)
