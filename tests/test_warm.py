"""`sidecar warm` with a real OpenSearch: all of an index, again after `kill -9`, beside `serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opensearchpy import OpenSearch, helpers

from tests.nodes.node import Node
from tests.running import request, running_sidecar

INDEX = "warm-shelf"
DOCUMENTS = 900
WORDS = {"kind": "bi-encoder", "source": "words", "backend": "fake"}
PLAN = {"document": {"title": "title", "body": "body"}, "stages": [{"model": "words"}]}
PASSAGES = {**PLAN, "passages": {"tokens": 15, "per_document": 1}, "deadline_ms": 20_000}


def body(number: int) -> str:
    sentence = "Shelf {} holds a copper kettle and some more, in its place {}."
    return " ".join(sentence.format(number, place) for place in range(3))


@pytest.fixture(scope="module")
def node(opensearch_3: Node) -> Iterator[Node]:
    with OpenSearch(opensearch_3.url) as client:
        client.indices.create(index=INDEX, body={"settings": {"number_of_shards": 3}})
        actions = (
            {"_index": INDEX, "_id": str(n), "title": f"Shelf {n}", "body": body(n)}
            for n in range(DOCUMENTS)
        )
        helpers.bulk(client, actions, refresh=True)
        yield opensearch_3
        client.indices.delete(index=INDEX)


@pytest.fixture
def config(node: Node, tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "words.yaml").write_text(yaml.safe_dump(PASSAGES))
    main = {
        "upstream": {"urls": [node.url]},
        "models": {"words": WORDS},
        "routes": [{"index": INDEX, "plan": "words"}],
        "cache": "cache",
    }
    path = tmp_path / "sidecar.yaml"
    path.write_text(yaml.safe_dump(main))
    return path


def command(config: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "sidecar", "warm", "--config", str(config), "--index", INDEX),
        *options,
    ]


def run(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(config, *options), capture_output=True, text=True, timeout=120, check=False
    )


def change(config: Path, **keys: Any) -> None:
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **keys}))


def test_an_index_is_stored_and_a_start_finds_it(config: Path, node: Node, tmp_path: Path) -> None:
    dry = run(config, "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    estimate = json.loads(dry.stdout)
    assert estimate["documents"] == DOCUMENTS
    assert estimate["passages"] == 3 * DOCUMENTS
    assert estimate["seconds"] > 0

    done = run(config, "--json")
    assert done.returncode == 0, done.stderr
    warmed = json.loads(done.stdout)
    assert (warmed["documents"], warmed["complete"]) == (DOCUMENTS, True)
    assert warmed["passages"] == warmed["stored"] == 3 * DOCUMENTS
    assert "passage_store_mb: 256 suffices" in done.stderr

    with running_sidecar(
        tmp_path,
        node.url,
        {"words": PASSAGES},
        {INDEX: "words"},
        main={"models": {"words": WORDS}, "cache": "cache"},
    ) as sidecar:
        stored = sidecar.metric("rescore_passages_stored", model="words")
        assert stored == 3 * DOCUMENTS
        search = {"query": {"match": {"body": "place 2 of shelf 71"}}}
        answer = request(sidecar.proxy, "POST", f"/{INDEX}/_search", search)
        assert answer.values("X-Rescore")[0].startswith("applied")
        misses = sidecar.metric("rescore_passage_lookups_total", model="words", result="miss")
        assert misses == 0


def test_a_run_that_was_killed_goes_on_where_it_was(config: Path) -> None:
    process = subprocess.Popen(
        command(config, "--rate", "300", "--save", "0.2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    progress: list[Path] = []
    while not progress:
        assert process.poll() is None, "it ended before it had saved anything"
        assert time.monotonic() < end
        progress = list((config.parent / "cache" / "warm").glob("*.json"))
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    noted = json.loads(progress[0].read_text())["documents"]
    assert 0 < noted < DOCUMENTS

    done = run(config, "--json")
    assert done.returncode == 0, done.stderr
    warmed = json.loads(done.stdout)
    assert warmed["former_documents"] >= noted
    # The two other shards may have had the number that it went on from.
    assert DOCUMENTS <= warmed["documents"] <= DOCUMENTS + 2
    assert warmed["stored"] == 3 * DOCUMENTS
    assert not progress[0].exists()


def test_a_running_sidecar_takes_in_what_is_stored(
    config: Path, node: Node, tmp_path: Path
) -> None:
    with running_sidecar(
        tmp_path,
        node.url,
        {"words": PASSAGES},
        {INDEX: "words"},
        main={"models": {"words": WORDS}, "cache": "cache"},
    ) as sidecar:
        assert run(config).returncode == 0
        end = time.monotonic() + 30
        while sidecar.metric("rescore_passages_stored", model="words") < 3 * DOCUMENTS:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_store_that_is_too_small_is_told(config: Path) -> None:
    change(config, passage_store_mb=1, models={"words": WORDS, "other": WORDS})
    dry = run(config, "--dry-run")
    assert dry.returncode == 1
    assert dry.stderr.splitlines()[-1] == "set passage_store_mb: 4 in the main file"
    refused = run(config)
    assert refused.returncode == 2
    assert "or give --until-full" in refused.stderr.splitlines()[-1]
    filled = run(config, "--until-full", "--json")
    assert filled.returncode == 1
    assert json.loads(filled.stdout)["complete"] is False
    change(config, passage_store_mb=4)
    assert run(config).returncode == 0


@pytest.mark.parametrize(
    ("options", "keys", "says"),
    [
        ((), {"cache": None}, "cache: name a folder"),
        (("--index", "none"), {}, "no route leads to a plan"),
        (("--index", "none", "--plan", "words"), {}, "none: there is no such index"),
        ((), {"models": {"words": {**WORDS, "kind": "cross-encoder"}}}, "has no bi-encoder"),
        ((), {"upstream": {"urls": ["http://127.0.0.1:9"]}}, "Connection refused"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    config: Path, options: tuple[str, ...], keys: dict[str, Any], says: str
) -> None:
    change(config, **keys)
    refused = run(config, *options)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
