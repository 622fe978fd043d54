"""Shared by all commands: the option --config, errors in one line, the event loop."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from sidecar.config.main_file import Config
from sidecar.config_reading.config_files import ConfigError, read_config
from sidecar.screen import wait_for_interrupt

T = TypeVar("T")

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("config/sidecar.yaml"),
    show_default=True,
    help="The main configuration file.",
)


open_option = click.option(
    "--open",
    "open_page",
    is_flag=True,
    help="Then open the page in the browser, and serve it until Ctrl-C.",
)


class Refused(click.ClickException):
    """Wrong usage or configuration: prints the message alone, exit status 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


class Negative(click.ClickException):
    """A negative result: prints the message alone, exit status 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


def read_configuration(path: Path) -> Config:
    """The whole configuration; raises Refused with all its mistakes.

    Prints each warning as a line on stderr.
    """
    try:
        config = read_config(path)
    except ConfigError as error:
        raise Refused(str(error)) from None
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    return config


async def serve_page(link: str) -> None:
    """Open the page in the user's browser if there is one, and wait for Ctrl-C."""
    # To stderr, so that the output of --json stays JSON.
    click.echo(f"page {link}\nCtrl-C ends it.", err=True)
    async with asyncio.TaskGroup() as group:
        # Some browsers end only when the user closes them.
        group.create_task(asyncio.to_thread(webbrowser.open, link))
        await wait_for_interrupt()


def run_loop(main_coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on uvloop if it is installed, else on asyncio's own loop; Ctrl-C exits with 130."""
    # A thread that computes returns the interpreter to the event loop after one millisecond.
    # Python's default of five would make every relayed request wait for five.
    sys.setswitchinterval(0.001)
    new_event_loop: Callable[[], asyncio.AbstractEventLoop]
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(main_coroutine())
    except KeyboardInterrupt:
        sys.exit(130)
