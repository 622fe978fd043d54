"""Runs the benchmarks: `python -m benchmarks [--only models,searches] [--quick] [--json]`.

A full run stores its figures in benchmarks/results.json and writes docs/benchmarks.md from them.
Parts that `--only` leaves out keep the figures of the previous run. `--quick` only prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.status import Status

from benchmarks import (
    cold,
    cores,
    filling,
    growing,
    models,
    overload,
    passing,
    searches,
    shadow,
    starting,
    warm_path,
    workers,
)
from benchmarks.document import Run, print_lines, write_document
from benchmarks.figures import Part, read_part
from sidecar.bench.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"

Measure = Callable[[bool, Callable[[str], None]], Part]


def parts() -> Mapping[str, Measure]:
    """Every part by name, in the order of the page."""
    return {
        "cores": cores.measure,
        "models": models.measure,
        "start": starting.measure,
        "searches": searches.measure,
        "warm": warm_path.measure,
        "filling": filling.measure,
        "cold": cold.measure,
        "relay": passing.measure,
        "growth": growing.measure,
        "shadow": shadow.measure,
        "overload": overload.measure,
        "workers": workers.measure,
    }


def main() -> None:
    chosen = read_arguments()
    known = parts()
    names = chosen.only.split(",") if chosen.only else list(known)
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"--only {unknown[0]}: there is no such part (there are: {', '.join(known)})")
    console = Console(stderr=True)
    runs: list[Run] = []
    for name in names:
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        when = time.strftime("%d %B %Y, %H:%M UTC", time.gmtime())
        started = time.monotonic()
        with console.status(name) as status:

            def step(text: str, name: str = name, status: Status = status) -> None:
                status.update(f"{name}: {text}")

            part = known[name](chosen.quick, step)
        runs.append(Run(part, when, describe_machine(), load))
        console.print(f"{name}: {time.monotonic() - started:.0f} s", highlight=False)
        if not chosen.json:
            print("\n".join(print_lines(part)), flush=True)
        if not chosen.quick:
            keep(runs[-1])
    if chosen.json:
        print(json.dumps([asdict(run) for run in runs], indent=1))
    if not chosen.quick:
        PAGE.write_text(write_document(read_runs(known)), encoding="utf-8")
        console.print(f"written: {PAGE.relative_to(ROOT)}", highlight=False)


def read_arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--only", metavar="A,B", help=f"parts to run: {', '.join(parts())}")
    options.add_argument("--quick", action="store_true", help="fewer rounds, and no page")
    options.add_argument("--json", action="store_true", help="print all figures for machines")
    return options.parse_args()


def keep(run: Run) -> None:
    """Replace the stored figures of a part."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    kept[run.part.name] = asdict(run)
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def read_runs(known: Mapping[str, Measure]) -> list[Run]:
    """The stored figures of each part, in order."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    return [
        Run(**{**kept[name], "part": read_part(kept[name]["part"])})
        for name in known
        if name in kept
    ]


if __name__ == "__main__":
    main()
