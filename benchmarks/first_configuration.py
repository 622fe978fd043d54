"""How good the plans of `sidecar init` are: beside hand-written ones, on judged collections.

    python benchmarks/first_configuration.py --data FOLDER --queries 60

Starts an OpenSearch, loads each collection with the mapping that OpenSearch makes by itself, and
runs `sidecar init` on the whole cluster. Then the ranking core orders the same windows by the
proposed plan and by the hand-written one of `quality.py`, both without a deadline.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.judged_collections import JudgedCollection, read_collections
from benchmarks.quality import MORE_FIELDS, search_body, shipped_plan
from pipelines.measures import ndcg
from pipelines.plan import Plan
from sidecar.config_reading.config_files import read_config
from sidecar.evaluation.comparison import CUT
from sidecar.evaluation.offline import fetch_window, order_by_plans
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.opensearch.routes import find_plan
from tests.nodes.node import OPENSEARCH_3, start_node

_BULK = 2000


async def load(session: ClientSession, url: str, collection: JudgedCollection) -> None:
    """Index a collection under its own name; OpenSearch maps the fields."""
    documents = list(collection.documents())
    for start in range(0, len(documents), _BULK):
        lines = []
        for document in documents[start : start + _BULK]:
            action = {"index": {"_index": collection.name, "_id": document.pop("_id")}}
            lines += [json.dumps(action), json.dumps(document)]
        kind = {"Content-Type": "application/x-ndjson"}
        content = "\n".join(lines) + "\n"
        async with session.post(f"{url}/_bulk", data=content, headers=kind) as answer:
            if (await answer.json())["errors"]:
                raise RuntimeError(f"{collection.name}: some documents were refused")
    async with session.post(f"{url}/_refresh") as answer:
        answer.raise_for_status()


@dataclass(slots=True)
class Compared:
    """One collection: the sums of nDCG@10 over the queries so far."""

    collection: JudgedCollection
    by_hand: Plan
    proposed: Plan
    queries: int = 0
    original: float = 0.0
    hand_written: float = 0.0
    of_proposal: float = 0.0

    @property
    def is_same(self) -> bool:
        """Whether the plans differ in nothing that decides the order."""
        apart = {"description": "", "deadline_ms": 1}
        return self.by_hand.model_copy(update=apart) == self.proposed.model_copy(update=apart)

    def row(self) -> str:
        count = max(1, self.queries)
        values = (self.original, self.hand_written, self.of_proposal)
        cells = " | ".join(f"{value / count:.4f}" for value in values)
        difference = (self.of_proposal - self.hand_written) / count
        same = "the same plan" if self.is_same else "another"
        return f"| {self.collection.name} | {self.queries} | {cells} | {difference:+.4f} | {same} |"


async def measure(
    session: ClientSession, url: str, compared: Compared, query: str, models: Models
) -> None:
    """Add one query's nDCG@10, in OpenSearch's order and in that of both plans."""
    collection, by_hand = compared.collection, compared.by_hand
    grades = collection.qrels[query]

    async def search(plan: Plan) -> tuple[tuple[str, ...], tuple[str, ...]]:
        body = search_body(collection.texts[query], plan.rescore_window)
        window = await fetch_window(session, f"{url}/{collection.name}/_search", body, plan)
        [order] = await order_by_plans(window, [plan], models.scorer(None))
        return window.ranked_ids, order

    original, order = await search(by_hand)
    compared.queries += 1
    compared.original += ndcg(grades, original, CUT)
    compared.hand_written += ndcg(grades, order, CUT)
    compared.of_proposal += ndcg(grades, (await search(compared.proposed))[1], CUT)


async def run(arguments: argparse.Namespace, url: str, folder: Path) -> None:
    names = arguments.only.split(",")
    by_name = {collection.name: collection for collection in read_collections(arguments.data)}
    collections = [by_name[name] for name in names]
    async with ClientSession(timeout=ClientTimeout(total=300)) as session:
        for collection in collections:
            await load(session, url, collection)
        config_folder = folder / "config"
        command = [sys.executable, "-m", "sidecar", "init", "--upstream", url]
        await asyncio.to_thread(
            subprocess.run, [*command, "--folder", str(config_folder)], check=True, text=True
        )
        for path in sorted(config_folder.rglob("*.yaml")):
            print(f"---- {path.relative_to(folder)}\n{path.read_text()}")
        config = read_config(config_folder / "sidecar.yaml")
        models = await asyncio.to_thread(
            load_models, config.main.models, config_folder, Metrics(), passage_store_mb=1024
        )
        all_compared = []
        for collection in collections:
            name = find_plan([collection.name], config.main.routes)
            if name is None:
                raise RuntimeError(f"no route for {collection.name}")
            by_hand = shipped_plan("fused", MORE_FIELDS.get(collection.name))
            all_compared.append(Compared(collection, by_hand, config.plans[name]))
        try:
            # Query by query, so that an interrupted run has figures of every collection.
            for number in range(arguments.queries):
                for compared in all_compared:
                    for query in islice(compared.collection.texts, number, number + 1):
                        await measure(session, url, compared, query, models)
                if number % 5 == 4 or number == arguments.queries - 1:
                    print("| collection | queries | OpenSearch | hand-written | proposed | | |")
                    print("|---|---|---|---|---|---|---|")
                    print("\n".join(each.row() for each in all_compared), flush=True)
        finally:
            await asyncio.to_thread(models.close)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root / ".." / "shared" / "data")
    parser.add_argument("--only", default="msrd-movies,cacm,homedepot,scifact")
    parser.add_argument("--queries", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        node = start_node(OPENSEARCH_3, Path(name))
        try:
            asyncio.run(run(arguments, node.url, Path(name)))
        finally:
            node.stop()


if __name__ == "__main__":
    main()
