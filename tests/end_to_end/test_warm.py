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

from tests.kendra.serving import make_client
from tests.nodes.node import Node
from tests.running import request, running_sidecar
from tests.tiny_models import build_bi_encoder

INDEX = "warm-shelf"
DOCUMENTS = 900
WORDS = {"kind": "bi-encoder", "source": "words", "backend": "fake"}
PLAN = {"document": {"title": "title", "body": "body"}, "stages": [{"model": "words"}]}
PASSAGES = {**PLAN, "passages": {"words": 15, "per_group": 1}, "deadline_ms": 20_000}


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
        "passage_store": {"folder": "cache"},
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
    assert "passage_store.memory_mb: 256 suffices" in done.stderr

    with running_sidecar(
        tmp_path,
        node.url,
        {"words": PASSAGES},
        {INDEX: "words"},
        main={"models": {"words": WORDS}, "passage_store": {"folder": "cache"}},
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
        main={"models": {"words": WORDS}, "passage_store": {"folder": "cache"}},
    ) as sidecar:
        assert run(config).returncode == 0
        end = time.monotonic() + 30
        while sidecar.metric("rescore_passages_stored", model="words") < 3 * DOCUMENTS:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_store_that_is_too_small_is_told(config: Path) -> None:
    change(
        config,
        passage_store={"folder": "cache", "memory_mb": 1},
        models={"words": WORDS, "other": WORDS},
    )
    dry = run(config, "--dry-run")
    assert dry.returncode == 1
    assert dry.stderr.splitlines()[-1] == "set passage_store.memory_mb: 4 in the main file"
    refused = run(config)
    assert refused.returncode == 2
    assert "or give --until-full" in refused.stderr.splitlines()[-1]
    filled = run(config, "--until-full", "--json")
    assert filled.returncode == 1
    assert json.loads(filled.stdout)["complete"] is False
    change(config, passage_store={"folder": "cache", "memory_mb": 4})
    assert run(config).returncode == 0


@pytest.mark.parametrize(
    ("options", "keys", "says"),
    [
        ((), {"passage_store": {}}, "passage_store.folder: name a folder"),
        (("--index", "none"), {}, "no route leads to a plan"),
        (("--index", "none", "--plan", "words"), {}, "none: there is no such index"),
        ((), {"models": {"words": {**WORDS, "kind": "cross-encoder"}}}, "has no bi-encoder"),
        ((), {"upstream": {"urls": ["http://127.0.0.1:9"]}}, "Connection refused"),
        (("--slices", "3/2"), {}, "--slices 3/2: write N/M"),
        (("--slices", "1/2", "--changed"), {}, "--slices does not go with --changed"),
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


def test_an_index_of_kendra_is_stored_with_its_own_fields(
    config: Path, node: Node, tmp_path: Path
) -> None:
    """The plan reads other fields, as a plan that several indexes share does."""
    other = {**PASSAGES, "document": {"title": "heading", "body": "content"}}
    (tmp_path / "plans" / "other.yaml").write_text(yaml.safe_dump(other))
    fields = {"title": "title", "body": "body"}
    index_id = "11111111-2222-4333-8444-555555555555"
    kendra = {"plan": "other", "indexes": {index_id: {"index": INDEX, "fields": fields}}}
    change(config, routes=[], apis={"kendra": kendra})
    done = run(config, "--index", index_id)
    assert done.returncode == 0, done.stderr
    main = yaml.safe_load(config.read_text())
    with running_sidecar(tmp_path, node.url, {"other": other}, {}, main=main) as sidecar:
        client = make_client(sidecar)
        reply = client.retrieve(IndexId=index_id, QueryText="copper kettle", PageSize=100)
        client.close()
        assert reply["ResultItems"]
        missed = sidecar.metric("rescore_passage_lookups_total", model="words", result="miss")
        found = sidecar.metric("rescore_passage_lookups_total", model="words", result="hit")
    # Retrieve looks up further passages of the documents too, and every one of them is stored.
    assert missed == 0
    assert found >= 50
    refused = run(config, "--index", index_id, "--plan", "missing")
    assert refused.returncode == 2
    assert "missing" in refused.stderr


def test_a_sample_teaches_the_student_that_serve_uses(
    config: Path, node: Node, tmp_path: Path
) -> None:
    folder = build_bi_encoder(tmp_path / "published")
    model = {"kind": "bi-encoder", "source": str(folder), "backend": "sentence-transformers"}
    change(config, models={"words": model})
    done = run(config, "--sample", "150", "--json")
    assert done.returncode == 0, done.stderr
    taught = json.loads(done.stdout)
    assert (taught["documents"], taught["passages"], taught["better"]) == (150, 450, True)
    assert (tmp_path / "cache" / "model-words" / "student.npz").is_file()
    with running_sidecar(
        tmp_path,
        node.url,
        {"words": {**PASSAGES, "fusion": {"method": "additive"}, "student": "auto"}},
        {INDEX: "words"},
        main={"models": {"words": model}, "passage_store": {"folder": "cache"}},
    ) as sidecar:
        lessons = sidecar.metric("rescore_student_lessons", model="words")
        assert lessons is not None
        assert 350 < lessons < 450, "all but a tenth"


def test_a_model_without_word_pieces_has_no_student(config: Path) -> None:
    refused = run(config, "--sample", "150")
    assert refused.returncode == 2
    assert "model words has no word pieces, so it has no student" in refused.stderr


def test_slices_have_each_document_once_and_then_only_changes_are_read(
    config: Path, node: Node
) -> None:
    parts = [run_to_json(config, "--slices", f"{number}/2") for number in (1, 2)]
    assert sum(part["documents"] for part in parts) == DOCUMENTS
    assert all(0 < part["documents"] < DOCUMENTS for part in parts)
    assert parts[-1]["stored"] == 3 * DOCUMENTS

    # No run has read the whole index, so this one does; it has nothing to compute.
    first = run_to_json(config, "--changed")
    assert (first["documents"], first["stored"]) == (DOCUMENTS, 3 * DOCUMENTS)
    assert run_to_json(config, "--changed")["documents"] == 0
    with OpenSearch(node.url) as client:
        # Not refreshed: the command makes sure that it finds what was written.
        for number in range(3):
            client.index(index=INDEX, id=str(number), body={"title": "", "body": f"New {number}."})
    changed = run_to_json(config, "--changed")
    assert (changed["documents"], changed["passages"]) == (3, 3)
    assert changed["stored"] == 3 * DOCUMENTS + 3
    with OpenSearch(node.url) as client:
        for number in range(3):
            again = {"title": f"Shelf {number}", "body": body(number)}
            client.index(index=INDEX, id=str(number), body=again, refresh=True)


def test_what_people_ask_for_is_read(config: Path, node: Node, tmp_path: Path) -> None:
    change(config, routes=[{"index": INDEX, "plan": "short"}])
    short = {**PASSAGES, "rescore_window": 10}
    (tmp_path / "plans" / "short.yaml").write_text(yaml.safe_dump(short))
    lines = tmp_path / "queries.txt"
    lines.write_text("shelf 71\nshelf 72\n\nshelf 71\n")
    asked = run_to_json(config, "--queries", str(lines))
    assert asked["documents"] == 20
    assert 30 <= asked["stored"] <= asked["passages"] == 60

    with OpenSearch(node.url) as client:
        searches = [{"user_query": text} for text in ("kettle", "shelf 500", "", "kettle")]
        helpers.bulk(
            client, [{"_index": "warm-searches", "_source": one} for one in searches], refresh=True
        )
        try:
            stored = run_to_json(config, "--ubi", "--ubi-queries", "warm-searches")
        finally:
            client.indices.delete(index="warm-searches")
    assert stored["documents"] == 20
    assert stored["stored"] > asked["stored"]


def run_to_json(config: Path, *options: str) -> dict[str, Any]:
    done = run(config, *options, "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
