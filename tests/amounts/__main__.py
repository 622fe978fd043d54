"""`python -m tests.amounts`: hostile amounts against the sidecar as it is shipped.

Starts an OpenSearch and `sidecar serve`, sends generated attacks to both listeners, and prints the
worst of each kind. Exit status 1 says that a bound was passed.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.amounts.process import served
from tests.amounts.run import CPU_S, GROWTH_MB, KINDS, STALL_S, Figures, Report, run

_SHOWN = 40


@click.command()
@click.option("--seed", default=1, show_default=True, help="Other seeds make other requests.")
@click.option("--count", default=1000, show_default=True, help="Requests in all.")
@click.option("--first", default=0, show_default=True, help="Number of the first request.")
@click.option("--kind", "kinds", type=click.Choice(list(KINDS)), multiple=True)
def main(seed: int, count: int, first: int, kinds: tuple[str, ...]) -> None:
    """Send generated hostile requests, and judge what each costs.

    Example: python -m tests.amounts --seed 7 --count 2000 --kind small_chunks
    """
    # So that a run that is ended leaves no process behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    names = list(KINDS)
    numbers = [
        number
        for number in range(first, first + count)
        if not kinds or names[number % len(names)] in kinds
    ]
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as running:
        with Progress(*bar, TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("attacks", total=len(numbers))
            report = run(running, seed, numbers, lambda: progress.advance(task))
        log = running.log.read_text()
    print_report(console, report)
    stalls = [line for line in log.splitlines() if "stood still" in line or "not turned" in line]
    console.print(f"\nLines of the log about stalls: {len(stalls)}")
    for line in stalls[:10]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if report.faults or any(figures.faults for figures in report.figures):
        raise SystemExit(1)


def print_report(console: Console, report: Report) -> None:
    """The worst figures of each kind, and the requests that passed a bound."""
    table = Table()
    table.add_column("kind", no_wrap=True)
    for name in ("requests", "faults", "stall", "waited", "loop", "CPU", "MB", "beside"):
        table.add_column(name, justify="right")
    for kind in KINDS:
        own = [figures for figures in report.figures if figures.kind == kind]
        if not own:
            continue
        beside = [figures.beside_s for figures in own if figures.beside_s is not None]
        table.add_row(
            kind,
            str(len(own)),
            str(sum(bool(figures.faults) for figures in own)),
            f"{max(figures.stall_s for figures in own) * 1000:.0f}",
            f"{max(figures.waited_s for figures in own) * 1000:.0f}",
            f"{max(figures.loop_s for figures in own) * 1000:.0f}",
            f"{max(figures.cpu_s for figures in own) * 1000:.0f}",
            f"{max(figures.grown_mb for figures in own):.0f}",
            f"{max(beside) * 1000:.0f}" if beside else "",
        )
    console.print(table)
    console.print(
        "The worst of each kind, times in ms. stall: CPU time in one turn of the event loop; "
        "waited: what it waited for a thread; loop: its CPU time in all; CPU: that of all threads; "
        f"beside: an ordinary search meanwhile. Bounds: stall {STALL_S * 1000:.0f} ms, CPU "
        f"{CPU_S * 1000:.0f} ms where no model worked, memory {GROWTH_MB:.0f} MB. "
        f"{len(report.figures)} requests in {report.seconds:.0f} s; "
        f"memory {report.start_mb:.0f} MB before, {report.end_mb:.0f} MB after; "
        f"{report.unsteady} faults did not come again."
    )
    for fault in report.faults:
        console.print(fault)
    bad = sorted((f for f in report.figures if f.faults), key=_cost, reverse=True)
    for figures in bad[:_SHOWN]:
        console.print(
            f"--first {figures.number} --count 1: {figures.kind} {figures.amount}, "
            f"{figures.outcome}: {', '.join(figures.faults)}",
            highlight=False,
        )
    if len(bad) > _SHOWN:
        console.print(f"and {len(bad) - _SHOWN} more")


def _cost(figures: Figures) -> float:
    return figures.cpu_s


if __name__ == "__main__":
    main()
