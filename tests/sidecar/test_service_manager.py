"""What systemd is told by `sidecar serve`: a process, and a socket in systemd's place."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.service_manager import tell_service_manager

MAIN = """\
listen: 127.0.0.1:0
api: 127.0.0.1:0
upstream: {urls: ["http://127.0.0.1:9"]}
models:
  words: {kind: bi-encoder, source: words, backend: fake}
"""


@contextmanager
def manager_at(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        yield manager


def test_a_service_is_ready_and_then_stops(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "sidecar.yaml").write_text(MAIN)
    path = str(tmp_path / "notify")
    command = [sys.executable, "-m", "sidecar", "serve", "--config", str(tmp_path / "sidecar.yaml")]
    with (
        manager_at(path) as manager,
        subprocess.Popen(
            command,
            env=os.environ | {"NOTIFY_SOCKET": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert manager.recv(4096).decode().splitlines()[0] == "READY=1"
        # By then clients can connect: the addresses are printed after the listeners are open.
        assert process.stdout
        assert process.stdout.readline().startswith("proxy  127.0.0.1:")
        assert manager.recv(4096).decode() == "STATUS=Models are ready"
        process.send_signal(signal.SIGTERM)
        assert manager.recv(4096).decode() == "STOPPING=1"
        assert process.wait() == 0


def test_a_name_in_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"rescore-{secrets.token_hex(8)}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with manager_at(f"\0{name}") as manager:
        tell_service_manager("READY=1", "STATUS=x")
        assert manager.recv(4096) == b"READY=1\nSTATUS=x"


@pytest.mark.parametrize("path", [None, "", "relative", "/no/such/socket"])
def test_without_a_manager_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    if path is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", path)
    tell_service_manager("READY=1")
