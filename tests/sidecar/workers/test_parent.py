"""Two real workers behind their parent: one is killed, both reload, both end, and pages agree."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.mapped_files import can_be_mapped
from sidecar.models.passage_files import list_segments, save_passages
from sidecar.models.passage_keeping import PassageKeeper
from sidecar.models.passage_store import PassageStore, Snapshot
from tests.reloads import Folder, Process, serving
from tests.running import WORDS, request


class _Node(BaseHTTPRequestHandler):
    """Has 20 documents. When it is turned, the query's word is in the other ten."""

    protocol_version = "HTTP/1.1"
    turned = False

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        hits = [
            {"_index": "docs", "_id": str(n), "_score": 20.0 - n, "_source": {"body": self.text(n)}}
            for n in range(20)
        ]
        total = {"value": 20, "relation": "eq"}
        shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
        found = {"total": total, "max_score": 20.0, "hits": hits}
        answer = {"took": 1, "timed_out": False, "_shards": shards, "hits": found}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def text(self, number: int) -> str:
        return "red apples" if (number < 10) is not self.turned else "green apples"

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Node) as node:
        threading.Thread(target=node.serve_forever, daemon=True).start()
        folder = Folder(tmp_path / "config", f"http://127.0.0.1:{node.server_port}")
        folder.write(workers=2)
        yield folder
        node.shutdown()


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def template(process: Process) -> int:
    [pid] = children(process.process.pid)
    return pid


def workers(process: Process) -> set[int]:
    return children(template(process))


def wait(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until


def relayed(process: Process) -> set[str]:
    """The workers that have relayed a request."""
    text = request(process.api, "GET", "/metrics").body.decode()
    begin = 'relay_requests_total{status="2xx",worker="'
    return {
        line.removeprefix(begin)[0]
        for line in text.splitlines()
        if line.startswith(begin) and not line.endswith(" 0.0")
    }


def test_two_workers_are_one_sidecar(folder: Folder) -> None:
    with serving(folder.path) as process:
        process.wait_until_ready()
        first = workers(process)
        assert len(first) == 2
        wait(lambda: request(process.proxy, "GET", "/").status and len(relayed(process)) == 2)

        os.kill(min(first), signal.SIGKILL)
        # Connections go to the other worker, also those that wait when the worker dies.
        assert {request(process.proxy, "GET", "/").status for _ in range(20)} == {200}
        wait(lambda: len(workers(process) - {min(first)}) == 2 and process.ready()["ready"])

        folder.write(window_cache_s=-1)
        lines = process.hang_up("the old configuration stays")
        assert len([line for line in lines if "window_cache_s" in line]) == 1
        folder.write(window_cache_s=7)
        process.hang_up("reload: applied")
        process.wait_for("reload: applied")

        last = workers(process)
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(60) == 0
        assert not [pid for pid in last if Path(f"/proc/{pid}").exists()]


def search(process: Process, start: int) -> tuple[list[str], str]:
    """The ids of a page, on a connection of its own, and the header."""
    query = {"query": {"match": {"body": "red"}}, "from": start, "size": 10}
    answer = request(process.proxy, "POST", "/docs/_search", query)
    ids = [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]
    header = re.search(rb"\r\nX-Rescore: ([^\r]*)", answer.head)
    return ids, header[1].decode() if header else ""


def searched(process: Process) -> set[str]:
    """The workers that have ordered a search."""
    text = request(process.api, "GET", "/metrics").body.decode()
    samples = re.findall(
        r'^rescore_searches_total\{.*status="applied".*worker="(\d)"\} (.*)', text, re.M
    )
    return {worker for worker, count in samples if float(count)}


def test_pages_agree_on_any_connection(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(folder.path) as process:
        process.wait_until_ready()
        monkeypatch.setattr(_Node, "turned", False)
        first, header = search(process, 0)
        assert header.startswith("applied; ")
        monkeypatch.setattr(_Node, "turned", True)
        second, _ = search(process, 10)
        assert sorted(first + second, key=int) == [str(n) for n in range(20)]
        # Some reach the worker that had the first page, some the other one.
        wait(lambda: search(process, 10)[0] == second and len(searched(process)) == 2)
        again, _ = search(process, 0)
        assert again != first
        wait(lambda: sorted(again + search(process, 10)[0], key=int) == [str(n) for n in range(20)])


def private_dirty(pid: int, *ends: str) -> dict[str, int]:
    """Bytes that only this process has, by the file that is mapped; of all files without `ends`."""
    found: dict[str, int] = {}
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
            name = line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
        elif line.startswith("Private_Dirty:") and name.endswith(ends or ("",)):
            found[name] = found.get(name, 0) + int(line.split()[1]) * 1024
    return found


def test_vectors_and_modules_are_in_memory_once(folder: Folder) -> None:
    count, words = 400_000, {**WORDS, "kind": "bi-encoder"}
    folder.write(models={"words": words}, passage_store={"folder": "kept", "memory_mb": 512})
    kept = folder.path / "kept" / "model-words"
    store = PassageStore(FakeBiEncoder.dimensions, 512 << 20)
    digests = np.arange(2 * count, dtype=np.uint64).view(np.uint8).reshape(count, 16)
    codes = np.ones((count, store.dimensions), np.int8)
    store.restore(Snapshot(digests, codes, np.ones(count, np.float32)))
    assert save_passages(store, FakeBiEncoder.identity, kept)
    if not can_be_mapped(kept):
        pytest.skip("the folder for tests is on a disk whose files are not mapped")
    with serving(folder.path) as process:
        process.wait_until_ready()
        pids = workers(process)
        assert len(pids) == 2
        for pid in pids:
            # The worker has mapped the file, and has changed nothing of it.
            assert list(private_dirty(pid, ".faiss").values()) == [0]
            assert sum(private_dirty(pid).values()) < codes.nbytes
        assert header_of(process).startswith("applied; ")


def header_of(process: Process) -> str:
    return search(process, 0)[1]


def owner(lock: Path) -> int:
    """The process that holds a lock on a file; 0 if nobody does."""
    inode = str(lock.stat().st_ino)
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return 0


def test_another_worker_takes_over_the_files_of_one_that_is_killed(folder: Folder) -> None:
    words = {**WORDS, "kind": "bi-encoder"}
    folder.write(models={"words": words}, passage_store={"folder": "kept"})
    kept = folder.path / "kept" / "model-words"
    with serving(folder.path) as process:
        process.wait_until_ready()
        assert header_of(process).startswith("applied; ")
        wait(lambda: list_segments(kept))  # some worker has written its vectors
        killed = owner(kept / "lock")
        assert killed in workers(process)
        os.kill(killed, signal.SIGKILL)
        assert {header_of(process).split(";")[0] for _ in range(20)} == {"applied"}
        wait(lambda: owner(kept / "lock") in workers(process) - {killed})
        wait(lambda: len(workers(process)) == 2 and process.ready()["ready"])
    store = PassageStore(FakeBiEncoder.dimensions, 1 << 20)
    PassageKeeper(store, FakeBiEncoder.identity, kept, owner=False).close()
    assert len(store) == 2  # both texts of the documents
