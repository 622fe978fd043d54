"""What is said of a configuration at the start, by `check --upstream` and by `kendra-index`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from sidecar.app import StartError
from sidecar.cli import main
from tests.kendra.collection import INDEX
from tests.kendra.serving import INDEX_SETTINGS, PAPERS, serving_kendra
from tests.nodes.node import Node
from tests.running import WORDS

WRONG: Mapping[str, Any] = {
    **INDEX_SETTINGS,
    "fields": {"title": "meta.category", "body": "contents"},
    "attributes": {"_view_count": {"type": "LONG", "field": "meta.created"}},
    "faq": {"index": "nowhere"},
}
MISTAKES = (
    f"apis.kendra.indexes.{PAPERS}: index {INDEX}: fields.title: the field meta.category is of "
    "type keyword, not match_only_text, search_as_you_type or text; use meta.category.text",
    f"apis.kendra.indexes.{PAPERS}: index {INDEX}: fields.body: there is no field contents",
    f"apis.kendra.indexes.{PAPERS}: index {INDEX}: attributes._view_count: the field meta.created "
    "is of type date, not byte, integer, long or short",
    f"apis.kendra.indexes.{PAPERS}: faq.index: the cluster has no index or alias nowhere",
)


def run(folder: Path, upstream: str, kendra: Mapping[str, Any] | None, *arguments: str) -> Result:
    """A command, with a main file that has this section."""
    (folder / "plans").mkdir(exist_ok=True)
    plan = {"document": {"body": "content"}, "stages": [{"model": "words"}]}
    (folder / "plans" / "words.yaml").write_text(yaml.safe_dump(plan))
    whole = {
        "upstream": {"urls": [upstream]},
        "models": {"words": WORDS},
        "apis": {"kendra": kendra} if kendra else {},
    }
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(whole))
    return CliRunner().invoke(main, [*arguments, "--config", str(path)])


def test_the_start_tells_every_mistake_at_once(loaded: Node, tmp_path: Path) -> None:
    with (
        pytest.raises(StartError) as caught,
        serving_kendra(tmp_path, loaded.url, {PAPERS: WRONG}),
    ):
        pass
    assert str(caught.value).splitlines() == list(MISTAKES)


def test_check_upstream_tells_the_same(loaded: Node, tmp_path: Path) -> None:
    wrong = run(tmp_path, loaded.url, {"indexes": {PAPERS: WRONG}}, "check", "--upstream")
    assert wrong.exit_code == 2
    assert wrong.stderr.splitlines() == list(MISTAKES)
    right = run(tmp_path, loaded.url, {"indexes": {PAPERS: INDEX_SETTINGS}}, "check", "--upstream")
    assert (right.exit_code, right.stderr) == (0, "")


def test_check_upstream_reads_the_key_set(loaded: Node, tmp_path: Path) -> None:
    tokens = {"user_context": {"tokens": {"key_set": "keys.json"}}}
    indexes = {PAPERS: {**INDEX_SETTINGS, **tokens}}
    wrong = run(tmp_path, loaded.url, {"indexes": indexes}, "check", "--upstream")
    assert wrong.exit_code == 2
    assert f"apis.kendra.indexes.{PAPERS}: key set keys.json cannot be read" in wrong.stderr


def test_a_cluster_that_does_not_answer_does_not_stop_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        serving_kendra(tmp_path, "http://127.0.0.1:9", {PAPERS: INDEX_SETTINGS}) as served,
        pytest.raises(served.client.exceptions.InternalServerException),
    ):
        served.client.query(IndexId=PAPERS, QueryText="kettle")
    assert f"index {PAPERS} is not checked" in caplog.text


def test_a_generated_configuration_loads_fits_and_finds(loaded: Node, tmp_path: Path) -> None:
    done = run(tmp_path, loaded.url, None, "kendra-index", "--from", INDEX)
    assert done.exit_code == 0, done.output
    section = yaml.safe_load(done.stdout)["apis"]["kendra"]
    assert run(tmp_path, loaded.url, section, "check", "--upstream").exit_code == 0
    [(index_id, settings)] = section["indexes"].items()
    assert settings["fields"] == {"title": "heading", "body": "content", "uri": "link"}
    assert settings["spell_field"] == "content.spell"
    assert {name: each["type"] for name, each in settings["attributes"].items()} == {
        "Lab": "STRING",
        "_source_uri": "STRING",
        "_authors": "STRING_LIST",
        "_category": "STRING",
        "_created_at": "DATE",
        "_language_code": "STRING",
        "_view_count": "LONG",
        "meta-author_count": "LONG",
    }
    with serving_kendra(tmp_path / "served", loaded.url, {index_id: settings}) as served:
        reply = served.client.query(
            IndexId=index_id,
            QueryText="copper kettle",
            Facets=[{"DocumentAttributeKey": "_category"}],
        )
    assert reply["ResultItems"][0]["DocumentId"] == "kettle-1"
    assert reply["FacetResults"][0]["DocumentAttributeValueCountPairs"]


def test_kendra_index_says_what_is_missing(loaded: Node, tmp_path: Path) -> None:
    absent = run(tmp_path, loaded.url, None, "kendra-index", "--from", "nowhere")
    assert (absent.exit_code, absent.stdout) == (2, "")
    assert absent.stderr == "--from nowhere: the cluster has no index or alias of this name\n"
    down = run(tmp_path, "http://127.0.0.1:9", None, "kendra-index", "--from", INDEX)
    assert down.exit_code == 2
    assert "http://127.0.0.1:9: does not answer" in down.stderr
