"""(g) Cold searches with the shipped plan and deadline, and a long tail of searches never asked.

From outside: a real OpenSearch, and `sidecar serve` as users run it.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.cluster import INDEX, VERSION, Client, loaded_cluster, search_body
from benchmarks.figures import Part, Table
from benchmarks.searches import MODELS
from benchmarks.serving import serving
from pipelines.measures import ndcg
from sidecar.bench.texts import endless_documents
from sidecar.demo.collection import SAMPLE, read_collection
from sidecar.evaluation.bootstrap import bootstrap_interval
from tests.nodes.java import NotInstalled

ROOT: Final = Path(__file__).resolve().parents[1]
_PAGE: Final = 10
_QUERY_WORDS: Final = 8
_TENTHS: Final = 5
_ORDER: Final = (
    *(("alone", True), ("rest", False)),
    *(("cold", True), ("warm", False), ("warm", True)),
)
_HOW = (
    f"OpenSearch {VERSION}, its sidecar and one client on this machine; `config/plans/fused.yaml`"
    " as it is shipped, with its window of 100 hits and its deadline. cold: the bundled collection"
    " and its judged queries. Each query is asked once with nothing stored (a label of its own"
    " before each title makes all its passages new) and again when everything is stored. The"
    " student begins without lessons, and learns meanwhile from the searches before; without one,"
    " each query has another label. long tail: queries that"
    " are never asked twice, each the first words of a sentence from another document, over an"
    " index that nobody warmed; the store fills, and a student learns."
)


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """The cold searches, then the long tail."""
    name, title = "cold", "Cold searches, and the long tail"
    tables: list[Table] = []
    try:
        step("cold: starting OpenSearch")
        with (
            loaded_cluster(len(read_collection(SAMPLE).documents)) as url,
            tempfile.TemporaryDirectory() as folder,
        ):
            tables.append(_measure_cold(Path(folder) / "one", url, 8 if quick else 60, step))
        step("long tail: starting OpenSearch")
        documents, searches = (3000, 100) if quick else (20_000, 600)
        with loaded_cluster(documents) as url, tempfile.TemporaryDirectory() as folder:
            tables.append(_measure_tail(Path(folder) / "two", url, documents, searches, step))
    except NotInstalled as error:
        return Part(name, title, _HOW, tuple(tables), missing=str(error))
    return Part(name, title, _HOW, tuple(tables))


def shipped_plan(**changes: Any) -> dict[str, Any]:
    """The shipped plan for the fields of the benchmarks' index."""
    plan = yaml.safe_load((ROOT / "config" / "plans" / "fused.yaml").read_text(encoding="utf-8"))
    return {**plan, "document": {"title": "title", "body": "text"}, **changes}


def _measure_cold(folder: Path, url: str, count: int, step: Callable[[str], None]) -> Table:
    collection = read_collection(SAMPLE)
    queries = list(islice(collection.queries.items(), count))
    plans: dict[str, dict[str, Any]] = {}
    for number in range(len(queries)):
        other = {**_labelled(f"Part {number}"), "student": "off"}
        plans[f"alone-{number}"] = shipped_plan(**other)
        plans[f"rest-{number}"] = shipped_plan(**other, deadline_ms=60_000)
        apart = _labelled(f"Text {number}")
        plans[f"cold-{number}"] = shipped_plan(**apart)
        plans[f"warm-{number}"] = shipped_plan(**apart, deadline_ms=60_000)
    kinds = ("alone", "cold", "warm")
    gains: dict[str, list[float]] = {kind: [] for kind in kinds}
    added: dict[str, list[float]] = {kind: [] for kind in kinds}
    shares: dict[str, list[float]] = {kind: [] for kind in kinds}
    models = {"minilm": MODELS["minilm"]}
    with serving(folder, url, models, plans, {INDEX: "cold-0"}, window_cache_s=0) as served:
        direct, proxied = Client(url), Client(served.url)
        for number, (query, text) in enumerate(queries):
            step(f"cold search {number + 1} of {len(queries)}")
            body = search_body(text)
            grades = collection.qrels[query]
            # After each cold search, one reads the rest, so that this does not disturb the next. So
            # the last one is warm.
            for kind, counts in _ORDER:
                alone, _, own = direct.ask("POST", f"/{INDEX}/_search", body)
                plan = f"{kind}-{number}"
                ms, said, answer = proxied.ask("POST", f"/{INDEX}/_search", body, plan)
                if not counts:
                    continue
                gain = ndcg(grades, _ids(answer), _PAGE) - ndcg(grades, _ids(own), _PAGE)
                gains[kind].append(gain)
                added[kind].append(ms - alone)
                shares[kind].append(read_share(said, "scored"))
        stall = served.longest_stall()
    warm = statistics.fmean(gains["warm"])
    rows = []
    for kind, name in (("alone", "cold, no student"), ("cold", "cold"), ("warm", "warm")):
        gain = statistics.fmean(gains[kind])
        share = f"{gain / warm:.2f}" if warm > 0 else "none to share"
        scored = f"{statistics.fmean(shares[kind]):.0%}"
        rows.append((name, scored, f"{gain:+.3f}", share, *_p(added[kind])))
    return Table(
        f"The shipped deadline with nothing stored; {len(queries)} judged queries",
        ("", "hits scored", "nDCG@10, gain", "of the warm gain", "added p50, ms", "added p95, ms"),
        tuple(rows),
        "Gain: beyond OpenSearch's own order. Cold less warm, with the 95 % interval over the"
        f" queries: {_difference(gains['alone'], gains['warm'])} without a student,"
        f" {_difference(gains['cold'], gains['warm'])} with one."
        f" Longest stall of the event loop: {stall}.",
    )


def _difference(gains: Sequence[float], others: Sequence[float]) -> str:
    differences = [one - other for one, other in zip(gains, others, strict=True)]
    interval = bootstrap_interval(differences)
    return f"{statistics.fmean(differences):+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _labelled(label: str) -> dict[str, Any]:
    """The part of a plan whose passages no other label has."""
    return {"document": {"title": [{"field": "title", "label": label}], "body": "text"}}


def _measure_tail(
    folder: Path, url: str, documents: int, searches: int, step: Callable[[str], None]
) -> Table:
    texts = _tail_queries(documents, searches)
    rows = []
    models = {"minilm": MODELS["minilm"]}
    with serving(folder, url, models, {"fused": shipped_plan()}, {INDEX: "fused"}) as served:
        direct, proxied = Client(url), Client(served.url)
        each = max(1, len(texts) // _TENTHS)
        for start in range(0, len(texts), each):
            step(f"long tail, search {start} of {len(texts)}")
            scored, student, added = [], [], []
            for text in texts[start : start + each]:
                body = search_body(text)
                alone, _, _ = direct.ask("POST", f"/{INDEX}/_search", body)
                ms, said, _ = proxied.ask("POST", f"/{INDEX}/_search", body)
                scored.append(read_share(said, "scored"))
                student.append(read_share(said, "student"))
                added.append(ms - alone)
            means = (f"{statistics.fmean(values):.0%}" for values in (scored, student))
            rows.append((f"{start + 1:,} to {start + len(added):,}", *means, *_p(added)))
        stall = served.longest_stall()
    return Table(
        f"The long tail: {searches:,} different queries over {documents:,} documents",
        ("searches", "hits scored", "by the student", "added p50, ms", "added p95, ms"),
        tuple(rows),
        f"Longest stall of the event loop: {stall}.",
    )


def _tail_queries(documents: int, count: int) -> list[str]:
    """The first words of the middle sentence of documents that lie far apart in the index."""
    apart = max(1, documents // count)
    chosen = islice(endless_documents(read_collection(SAMPLE)), 0, documents, apart)
    found: dict[str, None] = {}
    for document in chosen:
        sentences = document.text.split(". ")
        words = sentences[len(sentences) // 2].split()[:_QUERY_WORDS]
        found[" ".join(words)] = None
    return list(islice(found, count))


def _ids(answer: bytes) -> list[str]:
    return [hit["_id"] for hit in json.loads(answer)["hits"]["hits"]]


def read_share(said: str, name: str) -> float:
    """Of the window's hits, the share that this part of `X-Rescore` counts; 0 without it."""
    if not said.startswith(("applied", "partial")):
        return 0.0
    parts = dict(part.partition("=")[::2] for part in said.split("; "))
    return int(parts.get(name, 0)) / int(parts["window"])


def _p(values: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(values)
    p95 = ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
    return f"{statistics.median(ordered):.1f}", f"{p95:.1f}"
