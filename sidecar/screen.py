"""Terminal output of the commands: tables of at most 80 columns, progress bars, and Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

WIDTH = 80


def new_table(console: Console) -> Table:
    """Return an empty table, as wide as the terminal, with at most 80 columns."""
    # In a file or a log, box-drawing characters would be noise.
    return Table(
        box=box.ROUNDED if console.is_terminal else box.ASCII, width=min(WIDTH, console.width)
    )


@contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[Callable[[], object]]:
    """Show a progress bar until the work ends; show none if the output is not a terminal.

    Yields the function that advances the bar by one.
    """
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


async def wait_for_interrupt() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        await stopping.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
