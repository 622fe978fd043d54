"""`sidecar serve` with the shipped configuration as a process, before a real OpenSearch.

What it uses is read from outside: CPU time and memory from /proc, stalls from its own metrics.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.demo.collection import SAMPLE, read_collection
from tests.nodes.node import OPENSEARCH_3, Node, start_node

ROOT = Path(__file__).resolve().parents[2]
_READING_S = 300
_DOCUMENTS = 300
INDEX = "docs-a"
"""An index that the shipped configuration has a route for."""


@dataclass(frozen=True, slots=True)
class Stalls:
    """Stalls of the event loop of one kind: how many, seconds, and how many by bucket."""

    count: int
    seconds: float
    buckets: tuple[tuple[float, int], ...]

    def longest_since(self, before: Stalls) -> float:
        """The longest one after `before` lasted this long at most."""
        if self.count == before.count:
            return 0.0
        counted = dict(before.buckets)
        below = 0.0
        total = self.seconds - before.seconds
        for edge, count in self.buckets:
            below = edge
            if count - counted.get(edge, 0) == self.count - before.count:
                break
        return min(below, total)


class Served:
    """A running sidecar and the node behind it."""

    def __init__(self, node: Node, pid: int, addresses: dict[str, tuple[str, int]], log: Path):
        self.node = node
        self.pid = pid
        self.proxy = addresses["proxy"]
        self.api = addresses["api"]
        self.log = log
        self._process = Path("/proc") / str(pid)

    def loop_seconds(self) -> float:
        """CPU time of the event loop's thread, which is the first one."""
        return self.threads()[str(self.pid)][0]

    def seconds(self, but: Collection[str] = ()) -> float:
        """CPU time of all threads but these."""
        return sum(cpu for task, (cpu, _) in self.threads().items() if task not in but)

    def wanted_seconds(self, but: Collection[str] = ()) -> float:
        """The same, with the time in which they were ready and had no processor."""
        return sum(sum(times) for task, times in self.threads().items() if task not in but)

    def threads(self) -> dict[str, tuple[float, float]]:
        """Of each thread: seconds of CPU time, and ready without a processor."""
        times = {}
        for task in os.listdir(self._process / "task"):
            # A thread may end meanwhile.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                text = (self._process / "task" / task / "schedstat").read_text()
                cpu, ready, _ = map(int, text.split())
                times[task] = cpu / 1e9, ready / 1e9
        return times

    def memory_mb(self) -> float:
        """Resident memory."""
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        """The most resident memory since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        (self._process / "clear_refs").write_text("5")

    def descriptors(self) -> int:
        return len(os.listdir(self._process / "fd"))

    def stalls(self, kind: str) -> Stalls:
        """What the sidecar's own watch has counted: `computing` or `waiting`."""
        samples = re.findall(
            rf'loop_stall_seconds_(bucket|count|sum){{kind="{kind}"(?:,le="([^"]+)")?}} (\S+)',
            self.metrics(),
        )
        values = {name: float(value) for name, edge, value in samples if not edge}
        buckets = tuple((float(edge), int(float(value))) for _, edge, value in samples if edge)
        return Stalls(int(values.get("count", 0)), values.get("sum", 0.0), buckets)

    def wait_until_read(self) -> None:
        """Wait until the model has read what deadlines have left, which takes slow machines long.

        It pauses between two texts for as long as it takes to read them, well below a second.
        """
        end = time.monotonic() + _READING_S
        before, stored = "", self._passages_stored()
        while before != stored:
            assert time.monotonic() < end, "the model reads on and on"
            time.sleep(2)
            before, stored = stored, self._passages_stored()

    def _passages_stored(self) -> str:
        found = re.search(r"rescore_passages_stored\S+ (\S+)", self.metrics())
        assert found is not None
        return found[1]

    def metrics(self) -> str:
        connection = http.client.HTTPConnection(*self.api, timeout=120)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def _status(self, name: str) -> float:
        text = (self._process / "status").read_text()
        return next(
            int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(name)
        )


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Start a node with documents of the sample, and the sidecar as it is shipped before it."""
    node = start_node(OPENSEARCH_3, folder)
    try:
        load_documents(node)
        with serving(folder, node) as running:
            yield running
    finally:
        node.stop()


@contextmanager
def serving(folder: Path, node: Node) -> Iterator[Served]:
    """Start the sidecar as it is shipped before this node; only its two ports are others."""
    shutil.copytree(ROOT / "config", folder / "config")
    main = folder / "config" / "sidecar.yaml"
    main.write_text(
        re.sub(r"(?m)^(listen|api): 127\.0\.0\.1:\d+", r"\1: 127.0.0.1:0", main.read_text())
    )
    log = folder / "sidecar.log"
    command = [sys.executable, "-m", "sidecar", "serve", "--config", str(main), "--grace", "1"]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OPENSEARCH_URL": node.url},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        addresses = {}
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if match := re.match(r"(proxy|api) +([\d.]+):(\d+) ", line):
                    addresses[match[1]] = (match[2], int(match[3]))
                if line == "ready\n":
                    break
            else:
                raise RuntimeError(f"the sidecar did not start:\n{log.read_text()[-2000:]}")
            yield Served(node, process.pid, addresses, log)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def query_texts() -> list[str]:
    """What people ask the sample for."""
    return list(read_collection(SAMPLE).queries.values())


def load_documents(node: Node) -> None:
    """Put some of the sample's documents into the node's index INDEX."""
    connection = http.client.HTTPConnection(node.host, node.port, timeout=120)
    texts = {"title": {"type": "text"}, "body": {"type": "text"}}
    settings = {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "mappings": {"properties": texts},
    }
    _ask(connection, "PUT", f"/{INDEX}", json.dumps(settings))
    lines = []
    for number, document in enumerate(read_collection(SAMPLE).documents[:_DOCUMENTS]):
        lines.append(json.dumps({"index": {"_id": str(number)}}))
        lines.append(json.dumps({"title": document.title, "body": document.text}))
    _ask(connection, "POST", f"/{INDEX}/_bulk?refresh=true", "\n".join(lines) + "\n")
    connection.close()


def drop_documents(node: Node) -> None:
    """Take them out again."""
    connection = http.client.HTTPConnection(node.host, node.port, timeout=120)
    _ask(connection, "DELETE", f"/{INDEX}", "")
    connection.close()


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: str) -> None:
    connection.request(method, path, body.encode(), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    assert response.status == 200, answer[:500]
