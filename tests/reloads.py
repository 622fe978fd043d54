"""A `sidecar serve` of its own, and the folder with its configuration, for tests of reloads."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.running import WORDS, request


def replace(path: Path, text: str) -> None:
    new = path.with_name(".new")
    new.write_text(text)
    new.rename(path)


class Folder:
    """A configuration: its folder, and the main file's keys."""

    def __init__(self, path: Path, cluster: str) -> None:
        self.path = path
        self._cluster = cluster
        (path / "plans").mkdir(parents=True)
        self.restore()

    def restore(self) -> None:
        """Make it what it is at first."""
        self.main: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "api_listen": "127.0.0.1:0",
            "upstream": {"urls": [self._cluster]},
            "models": {"words": WORDS},
            "routes": [{"index": "docs", "plan": "body"}],
        }
        for name, window in (("body", 30), ("title", 40)):
            if (plan := self.path / "plans" / f"{name}.yaml").is_dir():
                plan.rmdir()
            self.write_plan(name, document={"body": name}, rescore_window=window)
        self.write()

    def write(self, **keys: Any) -> None:
        self.main |= keys
        replace(self.path / "sidecar.yaml", yaml.safe_dump(self.main))

    def write_plan(self, name: str, **keys: Any) -> None:
        plan = {
            "deadline_ms": 30_000,
            "stages": [{"model": "words"}],
            "fusion": {"method": "replace"},
            **keys,
        }
        replace(self.path / "plans" / f"{name}.yaml", yaml.safe_dump(plan))

    def route_to(self, plan: str) -> None:
        self.write(routes=[{"index": "docs", "plan": plan}])


class Process:
    """A running `sidecar serve`."""

    def __init__(self, process: subprocess.Popen[str], log: Path | None = None) -> None:
        self.process = process
        self._log = log
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read_log, daemon=True).start()
        assert process.stdout
        words = [process.stdout.readline().split() for _ in range(2)]
        self.proxy, self.api = (("127.0.0.1", int(line[1].split(":")[1])) for line in words)

    def wait_until_ready(self) -> None:
        assert self.process.stdout
        while self.process.stdout.readline() != "ready\n":
            assert self.process.poll() is None

    def _read_log(self) -> None:
        assert self.process.stderr
        with (self._log or Path(os.devnull)).open("w", buffering=1) as log:
            for line in self.process.stderr:
                log.write(line)
                self._lines.put(line)

    def wait_for(self, *words: str) -> list[str]:
        """The lines of the log up to the one that ends with one of these words."""
        lines: list[str] = []
        while not (lines and lines[-1].rstrip().endswith(words)):
            lines.append(self._lines.get(timeout=60))
        return lines

    def hang_up(self, *words: str) -> list[str]:
        self.process.send_signal(signal.SIGHUP)
        return self.wait_for(*words)

    def search(self) -> tuple[str, int, str]:
        client = http.client.HTTPConnection(*self.proxy, timeout=60)
        try:
            return search(client)
        finally:
            client.close()

    def metric(self, name: str) -> float:
        """The sum of the samples that begin so."""
        text = request(self.api, "GET", "/metrics").body.decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def ready(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(request(self.api, "GET", "/readyz").body)
        return state


def search(client: http.client.HTTPConnection) -> tuple[str, int, str]:
    """The plan and window that the header names, and the ids in their order."""
    body = json.dumps({"query": {"match": {"body": "kettle"}}})
    client.request("POST", "/docs/_search", body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    hits = json.loads(answer.read())["hits"]["hits"]
    assert answer.status == 200
    status, *fields = (answer.headers["X-Rescore"] or "").split("; ")
    assert status == "applied", answer.headers["X-Rescore"]
    values = dict(field.split("=") for field in fields)
    return values["plan"], int(values["window"]), "".join(hit["_id"] for hit in hits)


@contextmanager
def serving(path: Path, log: Path | None = None) -> Iterator[Process]:
    """The sidecar with the configuration in this folder; its log can also be written to a file."""
    command = [sys.executable, "-m", "sidecar", "serve", "--grace", "5", "--config"]
    with subprocess.Popen(
        [*command, str(path / "sidecar.yaml")],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as popen:
        try:
            yield Process(popen, log)
        finally:
            popen.kill()
