"""Ask a Kendra index every query of a collection, and write what it returns as TREC runs.

    python tools/kendra_runs.py --api http://127.0.0.1:9280 --index-id ID \\
        --queries queries.jsonl --out FOLDER

FOLDER gets `query.run` and `retrieve.run`, six columns a line. A document that has several passages
in Retrieve's answer stands at the place of its best one. Every query is sent twice: the model reads
new passages for the first answer, and only the second one counts, so that no deadline decides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from rich.progress import track

from sidecar.evaluation.files import BadFile
from sidecar.evaluation.queries import read_queries

DEPTH = 100
"""Documents of a run for each query; Kendra's APIs give no more."""

_WARM_UPS = 4

Items = list[dict[str, Any]]
"""The items of a reply."""

Told = Callable[[str, str, Items], object]
"""Called with each reply that counts: the operation, the query's id, the reply's items."""


def connect(api: str) -> Any:
    """boto3's client for the api listener at this URL."""
    return boto3.client(
        "kendra",
        endpoint_url=api,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=600),
    )


def collect_runs(
    client: Any,
    index_id: str,
    queries: Mapping[str, str],
    show: bool = False,
    told: Told | None = None,
) -> dict[str, dict[str, list[str]]]:
    """The ranked document ids of each query, by operation: `query` and `retrieve`.

    Raises RuntimeError for a query that the model has not read after several tries.
    """

    def ask_query(text: str) -> Items:
        reply = client.query(
            IndexId=index_id,
            QueryText=text,
            QueryResultTypeFilter="DOCUMENT",
            PageSize=DEPTH,
        )
        return list(reply["ResultItems"])

    def ask_retrieve(text: str) -> Items:
        reply = client.retrieve(IndexId=index_id, QueryText=text, PageSize=DEPTH)
        return list(reply["ResultItems"])

    operations: dict[str, Callable[[str], Items]] = {"query": ask_query, "retrieve": ask_retrieve}
    runs: dict[str, dict[str, list[str]]] = {name: {} for name in operations}
    asked: Iterable[tuple[str, str]] = queries.items()
    for query_id, text in track(asked, "queries", len(queries), disable=not show):
        for name, ask in operations.items():
            for _ in range(_WARM_UPS):
                items = ask(text)
                if not items or _is_read(items):
                    break
            else:
                raise RuntimeError(
                    f"query {query_id}: the model is always late; raise "
                    "apis.kendra.model_deadline_ms"
                )
            items = ask(text)
            runs[name][query_id] = list(dict.fromkeys(item["DocumentId"] for item in items))
            if told is not None:
                told(name, query_id, items)
    return runs


def write_run(path: Path, name: str, run: Mapping[str, list[str]]) -> None:
    """Write one run; scores only say the order."""
    lines = (
        f"{query_id} Q0 {document} {rank} {DEPTH - rank} {name}\n"
        for query_id, ranked in run.items()
        for rank, document in enumerate(ranked, 1)
    )
    path.write_text("".join(lines))


def _is_read(items: Items) -> bool:
    """Whether the model has scored any of the documents."""
    return any(item["ScoreAttributes"]["ScoreConfidence"] != "NOT_AVAILABLE" for item in items)


def main() -> int:
    """Send all queries, and write the runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--api", default="http://127.0.0.1:9280")
    parser.add_argument("--index-id", required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        queries = read_queries(given.queries)
    except (BadFile, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    runs = collect_runs(connect(given.api), given.index_id, queries, show=True)
    given.out.mkdir(parents=True, exist_ok=True)
    for name, run in runs.items():
        write_run(given.out / f"{name}.run", name, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
