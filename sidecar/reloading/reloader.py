"""Reloads the configuration: one at a time, and reports each in the log and in metrics.

A request for a reload while one runs asks for one more after it, however many such requests there
are: the last reload always reads what the files say at the end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sidecar.config.main_file import Config
from sidecar.config_reading.config_files import ConfigError
from sidecar.metrics import Metrics

_log: Final = logging.getLogger("sidecar.reload")

Outcome = Literal["applied", "unchanged", "refused", "failed"]


class ReloadRefused(Exception):
    """The new configuration is not used; `lines` say why."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class LastReload:
    """How the last reload ended. `at`: in seconds since 1970."""

    outcome: Outcome
    at: float


class Reloader:
    """Reads the configuration with `read` and applies it with `apply`. Belongs to one event loop.

    `read` blocks, and raises ConfigError. `apply` returns one line for each change, and raises
    ReloadRefused. `tell` gets messages for the service manager.
    """

    def __init__(
        self,
        read: Callable[[], Config],
        apply: Callable[[Config], Awaitable[list[str]]],
        metrics: Metrics,
        tell: Callable[..., None],
    ) -> None:
        self._read = read
        self._apply = apply
        self._reloads = metrics.config_reloads
        self._tell = tell
        self._wanted = False
        self._ready = False
        self._task: asyncio.Task[None] | None = None
        self.last: LastReload | None = None

    def request(self) -> None:
        """Reload soon: now, after the reload that runs, or after `begin`."""
        self._wanted = True
        self._start()

    def begin(self) -> None:
        """From now on reloads are possible: the first configuration is complete."""
        self._ready = True
        self._start()

    async def stop(self) -> None:
        """Give up the reload that runs, and begin no other one."""
        self._ready = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def report(self) -> dict[str, Any] | None:
        """The last reload for `/readyz`; None if there was none."""
        last = self.last
        return None if last is None else {"outcome": last.outcome, "at": last.at}

    def _start(self) -> None:
        if self._ready and self._wanted and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
                outcome = await self._reload()
                self.last = LastReload(outcome, time.time())
                self._reloads.labels(outcome).inc()
                self._tell("READY=1", f"STATUS=Models are ready; the last reload: {outcome}")
        finally:
            self._task = None

    async def _reload(self) -> Outcome:
        try:
            config = await asyncio.to_thread(self._read)
            lines = await self._apply(config)
        except (ConfigError, ReloadRefused) as error:
            lines = str(error).splitlines()
            for line in lines:
                _log.error("reload: %s", line)
            _log.error("reload: refused; the old configuration stays")
            return "refused"
        except Exception:
            _log.exception("reload failed; the old configuration stays; it is a bug")
            return "failed"
        for warning in config.warnings:
            _log.warning("reload: %s", warning)
        for line in lines:
            _log.info("reload: %s", line)
        _log.info("reload: %s", "applied" if lines else "nothing has changed")
        return "applied" if lines else "unchanged"
