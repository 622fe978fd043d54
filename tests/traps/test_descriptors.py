"""More connections than a process may have open files: who is served still, and who is told what.

The sidecar runs as a process of its own, with a limit as a service manager would set it.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.raw_http import RawResponse, send
from tests.sidecar.relay.amounts import ThreadedNode
from tests.sidecar.relay.wire import OK

MAIN = """\
listen: 127.0.0.1:0
api_listen: 127.0.0.1:0
upstream: {{urls: ["{url}"]}}
routes: []
"""
ANSWERED = b"GET / HTTP/1.1\r\nHost: x\r\nA: answer me\r\n\r\n"
HALF = {
    "half a body": b"PUT /i HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab",
    "half a head": b"PUT /i HTTP/1.1\r\nHost: x\r\n",
    "no answer": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}
SECONDS = 20


class Serving:
    """A sidecar's process, with its addresses and its log."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.log = log
        self.addresses: dict[str, tuple[str, int]] = {}
        for line in process.stdout:
            if match := re.match(r"(proxy|api) +([\d.]+):(\d+) ", line):
                self.addresses[match[1]] = (match[2], int(match[3]))
            if line == "ready\n":
                break

    def ask(self, listener: str, raw: bytes = ANSWERED) -> RawResponse:
        return send(*self.addresses[listener], raw, timeout=SECONDS)

    def metric(self, sample: str) -> float:
        text = self.ask("api", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body.decode()
        values = re.findall(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
        return float(values[0]) if values else 0.0

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)


@contextmanager
def serving(folder: Path, soft: int, hard: int) -> Iterator[Serving]:
    node = ThreadedNode(OK, b"answer me")
    (folder / "plans").mkdir()
    (folder / "sidecar.yaml").write_text(MAIN.format(url=node.url))
    command = [sys.executable, "-m", "sidecar", "serve", "--config", str(folder / "sidecar.yaml")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        )
    try:
        yield Serving(process, folder / "log")
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        node.close()


def open_many(held: ExitStack, to: Serving, amount: int, begun: bytes) -> None:
    for _ in range(amount):
        client = held.enter_context(socket.create_connection(to.addresses["proxy"], SECONDS))
        with contextlib.suppress(ConnectionError):
            client.sendall(begun)


@pytest.mark.parametrize("begun", HALF)
def test_who_has_no_descriptor_is_told_and_the_api_listener_answers(
    tmp_path: Path, begun: str
) -> None:
    with serving(tmp_path, 256, 256) as running:
        with ExitStack() as held:
            open_many(held, running, 300, HALF[begun])
            refused = 'relay_errors_total{reason="out_of_descriptors"}'
            running.until(lambda: running.metric(refused) > 0)
            assert running.ask("api", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
            late = running.ask("proxy")
            assert (late.status, late.values("connection")) == (503, ["close"])
            assert json.loads(late.body)["error"]["type"] == "out_of_descriptors"
            assert running.metric("process_open_fds") < 256
        running.until(lambda: running.metric("relay_client_connections") < 10)
        assert running.ask("proxy").status == 200
        short = "file descriptors are short (256 open files allowed)"
        running.until(lambda: short in running.log.read_text())
        log = running.log.read_text()
        assert log.count(short) == 1
        assert "left out" not in log
        assert running.metric(refused) > 100
        assert any(
            running.metric(f'relay_upstream_up{{url="http://127.0.0.1:{port}"}}') == 1
            for port in re.findall(r"127\.0\.0\.1:(\d+)", (tmp_path / "sidecar.yaml").read_text())
        )


def test_idle_clients_make_room(tmp_path: Path) -> None:
    with serving(tmp_path, 256, 256) as running, ExitStack() as held:
        open_many(held, running, 300, b"")
        # New connections are not idle yet: their first requests may be on the way.
        running.until(lambda: running.ask("proxy").status == 200)
        assert running.ask("proxy").status == 200


def test_the_limit_is_raised_as_far_as_it_may_be(tmp_path: Path) -> None:
    with serving(tmp_path, 256, 4096) as running, ExitStack() as held:
        # A thread of its own writes the log.
        running.until(lambda: "at most 4096 (raised from 256)" in running.log.read_text())
        open_many(held, running, 500, HALF["half a body"])
        assert running.ask("proxy").status == 200
        assert running.metric("relay_client_connections") == 500
        assert running.metric("process_max_fds") == 4096
