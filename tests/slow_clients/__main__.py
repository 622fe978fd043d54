"""`python -m tests.slow_clients`: ordinary searches beside slow and hostile clients, for minutes.

Starts an OpenSearch and `sidecar serve` as it is shipped, and prints a page of Markdown.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from sidecar.bench.machine import describe_machine
from tests.amounts.process import Served, Stalls, served
from tests.slow_clients.load import Hostile, Searches, beside, search_at_pace, warm_up


@dataclass
class Usage:
    """What the sidecar's process used while it was watched."""

    memory_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    cpu_s: float = 0.0
    stalls: int = 0
    longest_ms: float = 0.0


@click.command()
@click.option("--minutes", default=5.0, show_default=True, help="Time beside hostile clients.")
@click.option("--alone", default=1.0, show_default=True, help="Minutes without them, before.")
@click.option("--rate", default=50.0, show_default=True, help="Ordinary searches a second.")
@click.option("--slow", default=300, show_default=True, help="Slow clients.")
@click.option("--halves", default=200, show_default=True, help="Clients that send half a body.")
@click.option("--bombs", default=1.0, show_default=True, help="Gzip bombs a second.")
def main(minutes: float, alone: float, rate: float, slow: int, halves: int, bombs: float) -> None:
    """Measure ordinary searches alone and beside hostile clients.

    Example: python -m tests.slow_clients --minutes 5 > docs/hostile-load.md
    """
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as running:
        hostile = Hostile(running.proxy, slow, halves, bombs)

        async def measure() -> list[tuple[Searches, Usage]]:
            pace = running.proxy, rate
            click.echo("warming up", err=True)
            await warm_up(running.proxy)
            click.echo(f"alone, {alone:g} min", err=True)
            with watched(running) as before:
                first = await search_at_pace(*pace, alone * 60)
            click.echo(f"beside hostile clients, {minutes:g} min", err=True)
            with watched(running) as during:
                second = await beside(hostile, search_at_pace(*pace, minutes * 60))
            return [(first, before), (second, during)]

        phases = asyncio.run(measure())
    command = (
        f"python -m tests.slow_clients --minutes {minutes:g} --alone {alone:g} --rate {rate:g} "
        f"--slow {slow} --halves {halves} --bombs {bombs:g}"
    )
    print("\n".join(page(command, rate, hostile, phases)))


@contextmanager
def watched(running: Served) -> Iterator[Usage]:
    """Look at the process twice a second."""
    usage = Usage()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.5):
            usage.memory_mb.append(running.memory_mb())
            usage.descriptors.append(running.descriptors())

    before, cpu = running.stalls("computing"), running.seconds()
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join()
        usage.cpu_s = running.seconds() - cpu
        _add_stalls(usage, before, running.stalls("computing"))


def _add_stalls(usage: Usage, before: Stalls, after: Stalls) -> None:
    usage.stalls = after.count - before.count
    usage.longest_ms = after.longest_since(before) * 1000


def page(
    command: str, rate: float, hostile: Hostile, phases: list[tuple[Searches, Usage]]
) -> Iterator[str]:
    """The page's lines."""
    yield "# Ordinary searches beside hostile clients"
    yield ""
    machine = describe_machine()
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}"
    yield f"Written by `{command}`."
    yield ""
    yield f"Measured on {where}, which OpenSearch 3.8.0, the sidecar as it is shipped and all"
    yield "clients share."
    yield ""
    yield f"- Ordinary: {rate:g} searches a second, begun in time however slow the answers are. The"
    yield "  models have read what they find."
    yield f"- {hostile.slow} slow clients: half send one byte a second, half read a page of 1,000"
    yield "  hits at 4 KB a second."
    yield f"- {hostile.halves} clients that send half a body and wait."
    yield f"- {hostile.bombs_a_second:g} gzip bomb of 32 MiB a second."
    yield "- Hostile clients that are thrown out come back."
    yield ""
    yield "| | alone | beside hostile clients |"
    yield "|---|---|---|"
    rows: tuple[tuple[str, Callable[[Any, Any], str]], ...] = (
        ("ordinary searches", lambda s, u: f"{sum(s.outcomes.values()):,}"),
        ("answered", lambda s, u: f"{len(s.seconds):,}"),
        ("p50", lambda s, u: f"{np.percentile(s.seconds, 50) * 1000:.1f} ms"),
        ("p95", lambda s, u: f"{np.percentile(s.seconds, 95) * 1000:.1f} ms"),
        ("p99", lambda s, u: f"{np.percentile(s.seconds, 99) * 1000:.1f} ms"),
        ("longest", lambda s, u: f"{max(s.seconds) * 1000:.0f} ms"),
        ("outcomes", lambda s, u: _counts(s.outcomes)),
        ("memory at the start", lambda s, u: f"{u.memory_mb[0]:.0f} MiB"),
        ("memory at most", lambda s, u: f"{max(u.memory_mb):.0f} MiB"),
        ("memory at the end", lambda s, u: f"{u.memory_mb[-1]:.0f} MiB"),
        ("open descriptors at most", lambda s, u: f"{max(u.descriptors)}"),
        ("CPU time of the sidecar", lambda s, u: f"{u.cpu_s:.0f} s"),
        ("stalls above 10 ms (computing)", lambda s, u: f"{u.stalls}"),
        ("longest of them at most", lambda s, u: f"{u.longest_ms:.0f} ms"),
    )
    for name, value in rows:
        yield f"| {name} | {' | '.join(value(*phase) for phase in phases)} |"
    yield ""
    yield f"What the hostile clients met: {_counts(hostile.events)}."


def _counts(counter: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counter.items()))


if __name__ == "__main__":
    main()
