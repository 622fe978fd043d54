"""What the commands share: the configuration's option, errors in one line, the event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from sidecar.config import Config
from sidecar.config_files import ConfigError, read_config

T = TypeVar("T")

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("config/sidecar.yaml"),
    show_default=True,
    help="The main configuration file.",
)


class Refused(click.ClickException):
    """Wrong usage or configuration: the message as it is, exit status 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


class Negative(click.ClickException):
    """A negative answer: the message as it is, exit status 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


def read_configuration(path: Path) -> Config:
    """The whole configuration; raises Refused with every mistake in it."""
    try:
        return read_config(path)
    except ConfigError as error:
        raise Refused(str(error)) from None


def run_loop(main_coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on uvloop where it is there, on asyncio's own loop elsewhere; Ctrl-C exits with 130."""
    # A thread that cuts passages gives the interpreter back to the event loop after a
    # millisecond; Python's own five are five that every relayed request would wait.
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
