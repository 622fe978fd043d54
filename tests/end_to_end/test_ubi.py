"""`sidecar evaluate --ubi` reads searches and clicks from a real OpenSearch, and names a winner."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from tests.nodes.node import Node


def store_clicks(url: str, searches: int = 60) -> None:
    """Interleaved searches whose users click what plan b brings, and a split with two arms."""
    actions: list[dict[str, Any]] = []
    for number in range(searches):
        pair = {"a": "words", "b": "other"}
        for kind, attributes in (
            (
                "pair",
                {"rescore_plan": "words", "rescore_interleave": pair, "rescore_teams": "abba"},
            ),
            ("arm", {"rescore_plan": "off" if number % 3 else "words"}),
        ):
            query_id = f"{kind}-{number}"
            stored = {
                "query_id": query_id,
                "user_query": f"text {number % 4}",
                "client_id": f"user-{number}",
                "query_response_hit_ids": ["d1", "d2", "d3", "d4"],
                "query_attributes": attributes,
            }
            clicked = {"object": {"object_id": "d2" if number % 5 else "d1"}}
            event = {"query_id": query_id, "action_name": "click", "event_attributes": clicked}
            actions += [{"_index": "ubi_queries", **stored}, {"_index": "ubi_events", **event}]
    with OpenSearch(url, timeout=60) as client:
        helpers.bulk(client, actions, refresh=True)


@pytest.fixture(scope="module")
def config(opensearch_3: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ubi")
    (folder / "plans").mkdir()
    (folder / "sidecar.yaml").write_text(json.dumps({"upstream": {"urls": [opensearch_3.url]}}))
    store_clicks(opensearch_3.url)
    yield folder / "sidecar.yaml"
    with OpenSearch(opensearch_3.url, timeout=60) as client:
        client.indices.delete(index="ubi_queries,ubi_events")


def evaluate(config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidecar", "evaluate", "--ubi", "--config", str(config)]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False)


def test_stored_clicks_say_which_plan_wins(config: Path) -> None:
    done = evaluate(config, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    whole = json.loads(done.stdout)
    assert (whole["searches"], whole["clicks"], whole["lost_clicks"]) == (120, 120, 0)
    [pair] = whole["interleave"]
    assert (pair["winner"], pair["wins_a"], pair["wins_b"]) == ("other", 12, 48)
    off, words = whole["split"]
    assert (off["plan"], off["searches"], words["plan"], words["searches"]) == (
        "off",
        40,
        "words",
        20,
    )
    assert off["click_through"]["value"] == words["click_through"]["value"] == 1
    shown = evaluate(config)
    assert "other wins." in shown.stdout
    assert "words against off, share of searches with a click: +0.0000" in shown.stdout


def test_an_index_that_is_not_there_is_said(config: Path) -> None:
    done = evaluate(config, "--ubi-queries", "nothing-here")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--ubi: nothing-here: there is no such index")
