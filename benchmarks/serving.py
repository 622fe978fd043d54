"""A sidecar as users run it: `sidecar serve` in a process of its own."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Serving:
    """A running sidecar; `start_seconds` is from its first instruction until it is ready."""

    url: str
    api_url: str
    pid: int
    start_seconds: float
    stalls_before: Mapping[tuple[str, float], float] = field(default_factory=dict)
    """`read_stalls` when it was ready."""

    def longest_stall(self) -> str:
        """The longest stall of the event loop since it was ready, by the bounds of its metric."""
        longest = 0.0
        counts: dict[str, dict[float, float]] = {}
        for (kind, bound), count in read_stalls(self.api_url).items():
            counts.setdefault(kind, {})[bound] = count - self.stalls_before.get((kind, bound), 0.0)
        for by_bound in counts.values():
            whole = by_bound[max(by_bound)]
            if whole:
                longest = max(longest, min(b for b, count in by_bound.items() if count == whole))
        return f"below {1000 * longest:.0f} ms" if longest else "none of 10 ms"

    def memory_mb(self, field: str = "VmRSS") -> float:
        """Memory in use now, or at its peak (`VmHWM`), in MB of 10^6 bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1.024e-3 for line in lines if line.startswith(field))


@contextmanager
def serving(
    folder: Path,
    upstream: str | Sequence[str],
    models: Mapping[str, Mapping[str, Any]],
    plans: Mapping[str, Mapping[str, Any]],
    routes: Mapping[str, str],
    **main: Any,
) -> Iterator[Serving]:
    """Start it and wait until it is ready. `upstream`: one URL or several; `main`: further keys of
    the main file."""
    (folder / "plans").mkdir(parents=True)
    proxy, api = _free_port(), _free_port()
    whole = {
        "listen": f"127.0.0.1:{proxy}",
        "api_listen": f"127.0.0.1:{api}",
        "upstream": {"urls": [upstream] if isinstance(upstream, str) else list(upstream)},
        "models": dict(models),
        "routes": [{"index": index, "plan": plan} for index, plan in routes.items()],
        **main,
    }
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(whole))
    for name, plan in plans.items():
        (folder / "plans" / f"{name}.yaml").write_text(yaml.safe_dump(dict(plan)))
    command = [sys.executable, "-m", "sidecar", "serve", "--config", str(folder / "sidecar.yaml")]
    started = time.monotonic()
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(  # noqa: S603 - the product
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            if not any(line.startswith("ready") for line in process.stdout):
                last = (folder / "log").read_text().strip().splitlines()[-1:]
                raise RuntimeError(f"the sidecar did not start: {''.join(last)}")
            seconds = time.monotonic() - started
            proxy_url, api_url = (f"http://127.0.0.1:{port}" for port in (proxy, api))
            yield Serving(proxy_url, api_url, process.pid, seconds, read_stalls(api_url))
        finally:
            process.terminate()


def read_stalls(api_url: str) -> dict[tuple[str, float], float]:
    """By kind and bound in seconds: how many stalls of a sidecar's loop were shorter."""
    with urllib.request.urlopen(f"{api_url}/metrics") as answer:  # noqa: S310 - own server
        text = answer.read().decode()
    samples = re.findall(r'loop_stall_seconds_bucket\{(.*?)le="(.*?)"\} (\S+)', text)
    return {(kind, float(bound)): float(count) for kind, bound, count in samples}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
