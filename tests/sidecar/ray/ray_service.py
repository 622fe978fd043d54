"""Ray Serve with two replicas: `python -m sidecar.ray` in an environment of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.own_environments import python_with_packages

ROOT = Path(__file__).parents[3]
_LISTENING = "0A"


def python_with_ray() -> Path:
    """The Python of the environment, made once. Raises NotInstalled with pip's last words."""
    locked = (ROOT / "constraints.txt").read_text(encoding="ascii")
    version = re.search(r"^ray==(\S+)$", locked, re.MULTILINE)
    assert version is not None
    return python_with_packages("ray", (f"ray[serve]=={version[1]}",), compiled=True)


class RayService:
    """A running service. `url` is what `backend: remote` needs."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid

    def replicas(self) -> list[int]:
        """The processes of its replicas."""
        return [pid for pid, line in self._processes().items() if line.startswith("ray::ServeRep")]

    def kill_replica(self) -> int:
        """Kill one with SIGKILL; returns its process."""
        replica = self.replicas()[0]
        os.kill(replica, signal.SIGKILL)
        return replica

    def listening(self) -> set[str]:
        """The addresses on which its processes listen, as the kernel writes them, without port."""
        sockets = {
            os.readlink(file)
            for pid in self._processes()
            for file in _entries(Path(f"/proc/{pid}/fd"))
        }
        addresses = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                cells = line.split()
                if cells[3] == _LISTENING and f"socket:[{cells[9]}]" in sockets:
                    addresses.add(cells[1].split(":")[0])
        return addresses

    def _processes(self) -> dict[int, str]:
        """The service's processes and its children's, with their command lines."""
        parents, lines = {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                status = (folder / "stat").read_text()
                lines[int(folder.name)] = (folder / "cmdline").read_text()
            except (OSError, UnicodeDecodeError):  # it has ended
                continue
            parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
        own = {self._pid}
        while more := {pid for pid, parent in parents.items() if parent in own} - own:
            own |= more
        return {pid: lines.get(pid, "") for pid in own}


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_symlink()]
    except OSError:
        return []


@contextmanager
def running_ray(folder: Path, main: Mapping[str, Any], replicas: int = 2) -> Iterator[RayService]:
    """Serve the models of this main file with this number of replicas, each of one core."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "plans").mkdir()
    whole = {
        "upstream": {"urls": ["http://127.0.0.1:9200"]},
        "ray": {"listen": listen, "replicas": {"min": replicas, "max": replicas}},
        **main,
    }
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(whole))
    python = python_with_ray()
    command = [str(python), "-W", "ignore", "-m", "sidecar.ray", "--config", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "--watch-input"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        try:
            while (line := process.stdout.readline()) != "ready\n":
                if not line:
                    log.seek(0)
                    raise AssertionError(f"the service has ended: {log.read()[-2000:]}")
            yield RayService(f"http://{listen}", process.pid)
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
