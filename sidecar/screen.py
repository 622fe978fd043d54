"""What commands draw on a terminal: tables of at most 80 columns, and progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

WIDTH = 80


def new_table(console: Console) -> Table:
    """An empty table, as wide as the terminal allows."""
    # Lines drawn with letters of a box would be noise in a file or a log.
    return Table(
        box=box.ROUNDED if console.is_terminal else box.ASCII, width=min(WIDTH, console.width)
    )


@contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[Callable[[], object]]:
    """A bar that goes away when it is full, and none at all where it could not move.

    Gives the function that moves it by one.
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
