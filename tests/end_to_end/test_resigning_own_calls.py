"""`upstream.resign`: what the sidecar and its commands send on their own is signed as well.

The stand-in for the managed service verifies each signature, and a real OpenSearch is behind it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sidecar.config_reading.config_files import read_config
from sidecar.upstream_check import check_upstream
from tests.nodes.node import Node
from tests.running import request, running_sidecar
from tests.signed_domain import ROLE, Domain, domain, upstream_settings

INDEX, UBI = "signed", "ubi_queries"
BODIES = ("garden paper", "silver river", "a copper pan", "a copper kettle")
PLAN = {"document": {"body": "body"}, "stages": [{"model": "words"}], "deadline_ms": 20_000}
ANYBODY = {"accept": "loopback"}


@pytest.fixture(scope="module")
def state(opensearch_3: Node) -> Iterator[Domain]:
    with (
        OpenSearch(opensearch_3.url) as client,
        domain("es", (opensearch_3.host, opensearch_3.port)) as made,
    ):
        for number, body in enumerate(BODIES):
            client.index(index=INDEX, id=str(number), body={"body": body})
        client.indices.refresh(index=INDEX)
        yield made
        client.indices.delete(index=f"{INDEX},{UBI}", ignore_unavailable=True)


@pytest.fixture
def config(state: Domain, tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "words.yaml").write_text(json.dumps(PLAN))
    main = {
        "upstream": upstream_settings(tmp_path, state, ANYBODY),
        "models": {"words": {"kind": "bi-encoder", "source": "words", "backend": "fake"}},
        "routes": [{"index": INDEX, "plan": "words"}],
        "passage_store": {"folder": "cache"},
    }
    path = tmp_path / "sidecar.yaml"
    path.write_text(json.dumps(main))
    return path


def run(config: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "sidecar", *arguments, "--config", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_evaluate(state: Domain, config: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "copper kettle"}))
    (tmp_path / "qrels.txt").write_text("q 0 3 1\n")
    files = [f"--queries={tmp_path / 'queries.jsonl'}", f"--qrels={tmp_path / 'qrels.txt'}"]
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"query": {"match": {"body": "{{query}}"}}}))
    count = len(state.accepted)
    whole = run(config, "evaluate", f"--index={INDEX}", *files, f"--body={body}")
    assert whole["outcomes"] == {"applied": 1}
    # Direct and through a sidecar of the command's own.
    searches = [one for one in state.accepted[count:] if "_search" in one[1]]
    assert len(searches) >= 2
    assert state.refused == 0


def test_warm(state: Domain, config: Path) -> None:
    whole = run(config, "warm", f"--index={INDEX}")
    assert whole["documents"] == len(BODIES)
    assert state.refused == 0


def test_check(state: Domain, config: Path) -> None:
    count = len(state.accepted)
    assert check_upstream(read_config(config, {}), config.parent) == []
    assert len(state.accepted) > count
    assert state.refused == 0


def test_queries_for_user_behavior_insights(state: Domain, tmp_path: Path) -> None:
    main = {"upstream": upstream_settings(tmp_path, state, ANYBODY), "ubi": {"section": "cut"}}
    with running_sidecar(tmp_path, "", {"words": PLAN}, {INDEX: "words"}, main=main) as sidecar:
        ubi = {"ubi": {"query_id": "one", "user_query": "copper kettle"}}
        body = {"query": {"match": {"body": "copper kettle"}}, "ext": ubi}
        answer = request(sidecar.proxy, "POST", f"/{INDEX}/_search", body)
        assert answer.values("X-Rescore")[0].startswith("applied")
        metrics = sidecar.app.metrics.registry
    assert metrics.get_sample_value("rescore_ubi_queries_total", {"result": "written"}) == 1
    assert any(target.startswith(f"/{UBI}/_bulk") for _, target, _, _ in state.accepted)
    assert state.refused == 0


def test_botocore_finds_the_credentials(
    state: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here in a profile whose process prints them, which only botocore can run."""
    printed = {
        "Version": 1,
        "AccessKeyId": ROLE.access_key,
        "SecretAccessKey": ROLE.secret_key,
        "SessionToken": ROLE.token,
        "Expiration": "2999-01-01T00:00:00Z",
    }
    (tmp_path / "printed").write_text(json.dumps(printed))
    process = f"credential_process = cat {tmp_path / 'printed'}"
    (tmp_path / "aws").write_text(f"[profile role]\n{process}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    upstream = upstream_settings(tmp_path, state, ANYBODY)
    upstream["resign"]["credentials"] = {"botocore": True, "profile": "role"}
    main = {"upstream": upstream}
    with running_sidecar(tmp_path, "", {"words": PLAN}, {INDEX: "words"}, main=main) as sidecar:
        body = {"query": {"match": {"body": "copper kettle"}}}
        answer = request(sidecar.proxy, "POST", f"/{INDEX}/_search", body)
    assert answer.status == 200
    assert answer.values("X-Rescore")[0].startswith("applied")
    assert state.refused == 0
