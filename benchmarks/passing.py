"""(c) Pass-through beside nginx: `relay.py`, a program of its own, and its figures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import Bar, Part, Spread, Table

_HOW = (
    "POST requests of 150 bytes on kept-alive connections; the upstream, an nginx that answers from"
    " memory, and wrk share one core, the proxy has the other. `python benchmarks/relay.py` is this"
    " part alone."
)


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Every size and number of connections; a few of them if `quick`."""
    lacking = [name for name in ("nginx", "wrk", "taskset") if shutil.which(name) is None]
    if lacking:
        packages = ", ".join(lacking)
        return _part(missing=f"{packages} not installed (Debian: apt-get install nginx wrk)")
    step("relay.py")
    chosen = ["--kilobytes", "20", "--connections", "1", "16", "--rounds", "2"] if quick else []
    done = subprocess.run(  # noqa: S603 - a program of this folder
        [sys.executable, Path(__file__).with_name("relay.py"), "--json", *chosen],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return _part(missing=done.stderr.strip().splitlines()[-1])
    results = json.loads(done.stdout)
    rows = tuple(_row(result) for result in results if result["proxy"] != "none")
    table = Table(
        "Beside nginx `proxy_pass`",
        ("KB x connections", "proxy", "a second", "of nginx", "CPU us", "added p50, us"),
        rows,
        "CPU: the proxy's own for a request. added: p50 beyond the direct way's.",
    )
    return _part(tables=(table,), bars=_bars(results))


def _part(tables: tuple[Table, ...] = (), bars: tuple[Bar, ...] = (), missing: str = "") -> Part:
    return Part("relay", "Pass-through beside nginx", _HOW, tables, bars, missing)


def _row(result: dict[str, Any]) -> tuple[str | Spread, ...]:
    return (
        f"{result['kilobytes']} x {result['connections']}",
        str(result["proxy"]),
        _spread(result["requests_per_second"], digits=0),
        _spread(result["of_nginx"], "x", 2),
        _spread(result["cpu_per_request"]),
        _spread(result["added_p50"], digits=0),
    )


def _bars(results: list[dict[str, Any]]) -> tuple[Bar, ...]:
    ours = {
        (result["kilobytes"], result["connections"]): result
        for result in results
        if result["proxy"] == "sidecar"
    }
    throughput = _spread(ours[20, 16]["of_nginx"], "x", 2)
    waiting = _spread(ours[20, 1]["beyond_nginx_p50"], " us", 0)
    return (
        Bar(
            "pass-through, 20 KB, 16 connections: requests a second against nginx",
            throughput,
            "least",
            0.7,
            0.95,
        ),
        Bar("pass-through, 20 KB, 1 connection: p50 beyond nginx's", waiting, "most", 60, 20),
    )


def _spread(values: dict[str, float], unit: str = "", digits: int = 1) -> Spread:
    return Spread(values["median"], values["lowest"], values["highest"], unit, digits)
