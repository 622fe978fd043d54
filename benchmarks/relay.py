"""How much the relay costs: requests a second and CPU time of a request, beside nginx.

    python benchmarks/relay.py                 # sidecar and nginx, alternated
    python benchmarks/relay.py --other PATH    # and the sidecar of another checkout

Needs Linux, two cores, `nginx` and `wrk` (Debian: apt-get install nginx wrk). The proxy has core
0 to itself; the upstream, an nginx that answers from memory, shares core 1 with wrk. Each round
runs every proxy once, so that what else the machine does falls on all of them. Requests: POST of
150 bytes, keep-alive, 16 connections.
"""

# ruff: noqa: S603, S607 - it starts programs of its own choice, from PATH
from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

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
PROXY = """
  upstream node {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://node; proxy_http_version 1.1;
      proxy_set_header Connection ""; }} }}
"""
CONFIG = """
listen: 127.0.0.1:{port}
api: 127.0.0.1:0
upstream: {{urls: ["http://127.0.0.1:{upstream}"]}}
routes: []
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3, help="of each run")
    options.add_argument("--connections", type=int, default=16)
    options.add_argument("--kilobytes", type=int, nargs="+", default=[20, 200])
    options.add_argument("--other", type=Path, help="another checkout to compare with")
    chosen = options.parse_args()
    for program in ("nginx", "wrk", "taskset"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: apt-get install nginx wrk util-linux)")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        proxies = start_all(stack, folder, chosen.other)
        for size in chosen.kilobytes:
            (folder / f"{size}k").write_bytes(b"x" * size * 1000)
            measure(proxies, folder, size, chosen)


def start_all(
    stack: contextlib.ExitStack, folder: Path, other: Path | None
) -> dict[str, tuple[int, int | None]]:
    """Start upstream and proxies; the port of each, and the process whose CPU time is counted."""
    folder.chmod(0o755)  # nginx's worker is another user
    (folder / "post.lua").write_text(
        f"wrk.method = 'POST'\nwrk.body = '{BODY}'\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    upstream, port = free_port(), free_port()
    nginx(stack, folder, "upstream", UPSTREAM.format(port=upstream, folder=folder), LOAD_CORE)
    wait_for(upstream)
    proxies: dict[str, tuple[int, int | None]] = {"none": (upstream, None)}
    master = nginx(stack, folder, "proxy", PROXY.format(port=port, upstream=upstream), PROXY_CORE)
    wait_for(port)
    worker = Path(f"/proc/{master}/task/{master}/children").read_text().split()[0]
    proxies["nginx"] = (port, int(worker))
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
        proxies[name] = (port, process)
    return proxies


def measure(
    proxies: dict[str, tuple[int, int | None]],
    folder: Path,
    size: int,
    chosen: argparse.Namespace,
) -> None:
    rates = defaultdict(list)
    costs = defaultdict(list)
    for _ in range(chosen.rounds):
        for name, (port, process) in proxies.items():
            before = cpu_seconds(process)
            requests, seconds = wrk(folder, port, size, chosen)
            rates[name].append(requests / seconds)
            costs[name].append((cpu_seconds(process) - before) / requests * 1e6)
    print(f"\n{size} KB answers, {chosen.connections} connections, {chosen.rounds} rounds")
    print("| proxy | requests/s, median | lowest to highest | share of nginx | CPU us/request |")
    print("|---|---|---|---|---|")
    for name in proxies:
        rate = statistics.median(rates[name])
        # The ratio of each round, since the machine is not the same in all of them.
        share = statistics.median(
            mine / nginxs for mine, nginxs in zip(rates[name], rates["nginx"], strict=True)
        )
        spread = f"{min(rates[name]):,.0f} to {max(rates[name]):,.0f}"
        cost = f"{statistics.median(costs[name]):.1f}" if proxies[name][1] else ""
        print(f"| {name} | {rate:,.0f} | {spread} | {share:.2f} | {cost} |", flush=True)


def wrk(folder: Path, port: int, size: int, chosen: argparse.Namespace) -> tuple[int, float]:
    """One run: requests answered, and the seconds it took."""
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{chosen.connections}"]
        + [f"-d{chosen.seconds}s", "-s", folder / "post.lua", f"http://127.0.0.1:{port}/{size}k"],
        check=True,
        capture_output=True,
        text=True,
    )
    errors = re.search(r"(Socket errors|Non-2xx).*", done.stdout)
    if errors:
        sys.exit(f"port {port}: {errors[0]}")
    found = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
    assert found, done.stdout
    return int(found[1]), float(found[2])


def cpu_seconds(process: int | None) -> float:
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nginx(stack: contextlib.ExitStack, folder: Path, name: str, content: str, core: str) -> int:
    """Start one; the process id of its master."""
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
    """Until something listens."""
    for _ in attempts():
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
    sys.exit(f"nothing listens on port {port}")


def attempts(seconds: float = 30) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)


if __name__ == "__main__":
    main()
