"""The cost of the relay beside nginx: requests a second, CPU time and waiting time.

    python benchmarks/relay.py                    # all sizes, one table
    python benchmarks/relay.py --connections 1 --kilobytes 20 --rounds 9
    python benchmarks/relay.py --other PATH       # and the sidecar of another checkout
    python benchmarks/relay.py --json

Needs Linux, two cores, `nginx` and `wrk` (Debian: apt-get install nginx wrk). The proxy has core
0 to itself; the upstream, an nginx that answers from memory, shares core 1 with wrk. Each round
runs every proxy once, so that other load affects all of them; ratios and differences are taken
within a round. Requests: POST of 150 bytes, keep-alive.
"""

# ruff: noqa: S603, S607 - it starts programs of its own choice, from PATH
from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
PROXY_CORE, LOAD_CORE = "0", "1"
BODY = '{"query":{"match":{"title":"' + "x" * 119 + '"}}}'
NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  {content}
}}
"""
UPSTREAM = """
  server {{ listen 127.0.0.1:{port}; root {folder}; default_type application/json;
    error_page 405 =200 $uri; open_file_cache max=10; }}
"""
# Buffers that hold the largest answer: by default nginx would write a part of it to the disk.
PROXY = """
  upstream node {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://node; proxy_http_version 1.1;
      proxy_buffers 16 16k; proxy_max_temp_file_size 0;
      proxy_set_header Connection ""; }} }}
"""
CONFIG = """
listen: 127.0.0.1:{port}
api_listen: 127.0.0.1:0
upstream: {{urls: ["http://127.0.0.1:{upstream}"]}}
routes: []
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where requests go; `process` is the one whose CPU time is counted."""

    name: str
    port: int
    process: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one run of one proxy: requests a second, and microseconds."""

    rate: float
    cpu: float
    p50: float


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Result:
    """All rounds of one proxy in one case; times in microseconds.

    `of_nginx`: requests a second as a share of nginx's; `added_p50`: waiting beyond the direct
    way's; `beyond_nginx_p50`: waiting beyond nginx's.
    """

    kilobytes: int
    connections: int
    proxy: str
    requests_per_second: Spread
    of_nginx: Spread
    cpu_per_request: Spread
    p50: Spread
    added_p50: Spread
    beyond_nginx_p50: Spread


def main() -> None:
    chosen = read_arguments()
    for program in ("nginx", "wrk", "taskset"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: apt-get install nginx wrk util-linux)")
    cases = [(size, count) for size in chosen.kilobytes for count in chosen.connections]
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        proxies = start_all(stack, folder, chosen.other)
        progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
        task = progress.add_task("relay", total=len(cases) * chosen.rounds * len(proxies))
        for size, connections in cases:
            (folder / f"{size}k").write_bytes(b"x" * size * 1000)
            rounds = []
            for _ in range(chosen.rounds):
                runs = {}
                for proxy in proxies:
                    runs[proxy.name] = run(proxy, folder, size, connections, chosen.seconds)
                    progress.advance(task)
                rounds.append(runs)
            results += summarise(size, connections, rounds)
    if chosen.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        show(results, chosen)


def read_arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=2, help="of each run")
    options.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    options.add_argument("--kilobytes", type=int, nargs="+", default=[1, 20, 200], help="answers")
    options.add_argument("--other", type=Path, help="another checkout to compare with")
    options.add_argument("--json", action="store_true", help="print all figures for machines")
    return options.parse_args()


def start_all(stack: contextlib.ExitStack, folder: Path, other: Path | None) -> list[Proxy]:
    """Start upstream and proxies; the direct way is the first of them."""
    folder.chmod(0o755)  # nginx's worker is another user
    (folder / "post.lua").write_text(
        f"wrk.method = 'POST'\nwrk.body = '{BODY}'\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    upstream, port = free_port(), free_port()
    nginx(stack, folder, "upstream", UPSTREAM.format(port=upstream, folder=folder), LOAD_CORE)
    wait_for(upstream)
    master = nginx(stack, folder, "proxy", PROXY.format(port=port, upstream=upstream), PROXY_CORE)
    wait_for(port)
    proxies = [Proxy("none", upstream, None), Proxy("nginx", port, worker_of(master))]
    checkouts = {"sidecar": ROOT} | ({"other": other.resolve()} if other else {})
    for name, checkout in checkouts.items():
        port = free_port()
        place = folder / name
        (place / "plans").mkdir(parents=True)
        (place / "sidecar.yaml").write_text(CONFIG.format(port=port, upstream=upstream))
        command: list[str | Path] = [sys.executable, "-m", "sidecar", "serve"]
        command += ["--config", place / "sidecar.yaml"]
        process = start(stack, command, PROXY_CORE, cwd=checkout)
        wait_for(port)
        proxies.append(Proxy(name, port, process))
    return proxies


def run(proxy: Proxy, folder: Path, size: int, connections: int, seconds: int) -> Run:
    before = cpu_seconds(proxy.process)
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
        + ["--latency", "-s", folder / "post.lua", f"http://127.0.0.1:{proxy.port}/{size}k"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    errors = re.search(r"(Socket errors|Non-2xx).*", done)
    if errors:
        sys.exit(f"{proxy.name}: {errors[0]}")
    found = re.search(r"(\d+) requests in ([\d.]+)s", done)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", done)
    assert found, done
    assert median, done
    requests = int(found[1])
    return Run(
        rate=requests / float(found[2]),
        cpu=(cpu_seconds(proxy.process) - before) / requests * 1e6,
        p50=float(median[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[median[2]],
    )


def summarise(size: int, connections: int, rounds: list[dict[str, Run]]) -> Iterator[Result]:
    for name in rounds[0]:
        yield Result(
            kilobytes=size,
            connections=connections,
            proxy=name,
            requests_per_second=spread(runs[name].rate for runs in rounds),
            of_nginx=spread(runs[name].rate / runs["nginx"].rate for runs in rounds),
            cpu_per_request=spread(runs[name].cpu for runs in rounds),
            p50=spread(runs[name].p50 for runs in rounds),
            added_p50=spread(runs[name].p50 - runs["none"].p50 for runs in rounds),
            beyond_nginx_p50=spread(runs[name].p50 - runs["nginx"].p50 for runs in rounds),
        )


def spread(values: Iterable[float]) -> Spread:
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def show(results: list[Result], chosen: argparse.Namespace) -> None:
    table = Table(box=box.MARKDOWN)
    for name in ("KB", "conns", "proxy", "req/s", "of nginx", "CPU us", "p50 us", "added"):
        table.add_column(name, justify="left" if name == "proxy" else "right", no_wrap=True)
    for result in results:
        share = result.of_nginx
        relayed = result.proxy != "none"
        table.add_row(
            str(result.kilobytes),
            str(result.connections),
            result.proxy,
            f"{result.requests_per_second.median:.0f}",
            f"{share.median:.2f} ({share.lowest:.2f}-{share.highest:.2f})" if relayed else "",
            f"{result.cpu_per_request.median:.1f}" if relayed else "",
            f"{result.p50.median:.0f}",
            f"{result.added_p50.median:.0f}" if relayed else "",
        )
    console = Console(width=None if sys.stdout.isatty() else 80)
    console.print(table)
    console.print(
        f"Medians of {chosen.rounds} rounds of {chosen.seconds} s. of nginx: requests a second as a"
        " share of nginx's (lowest and highest round); CPU us: the proxy's own for a request;"
        " added: p50 beyond the direct way's, in us.",
        highlight=False,
    )


def cpu_seconds(process: int | None) -> float:
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nginx(stack: contextlib.ExitStack, folder: Path, name: str, content: str, core: str) -> int:
    """Start one nginx; returns the process id of its master."""
    config = folder / f"{name}.conf"
    config.write_text(NGINX.format(folder=folder, name=name, content=content))
    return start(stack, ["nginx", "-p", folder, "-c", config], core)


def start(
    stack: contextlib.ExitStack, command: list[str | Path], core: str, cwd: Path = ROOT
) -> int:
    process = subprocess.Popen(
        ["taskset", "-c", core, *command],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(cwd)},
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process.pid


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Wait until something listens."""
    for _ in attempts():
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
    sys.exit(f"nothing listens on port {port}")


def worker_of(master: int) -> int:
    """nginx's one worker, which it starts once it listens."""
    for _ in attempts():
        if children := Path(f"/proc/{master}/task/{master}/children").read_text().split():
            return int(children[0])
    sys.exit("nginx started no worker")


def attempts(seconds: float = 30) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)


if __name__ == "__main__":
    main()
