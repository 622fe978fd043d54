"""Finds a model's prepared folder, or starts the worker that makes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from sidecar.config.main_file import Model
from sidecar.models.prepared import find_prepared

_LAST_WORDS = 300
_LOOK_SECONDS = 0.2
# Signals that end a process if the processor lacks an instruction or a library fails on it.
_CRASHES = frozenset(
    -number
    for number in (
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGFPE,
        signal.SIGBUS,
    )
)


@dataclass(frozen=True, slots=True)
class _EarlyEnd:
    """How a worker ended that neither prepared the model nor gave a reason."""

    status: int
    trying: str
    """The precision that it tried; empty before the first."""

    last_words: str
    """The end of its standard error."""


def prepare_model(
    model: Model,
    source: Path,
    key: str,
    cache: Path | None,
    report: Callable[[str], None],
    stopping: Event | None = None,
) -> Path:
    """The prepared folder of a model; to make it takes seconds to minutes.

    `source`: the model's weights. `cache`: the folder to look in first and to write to; None means
    the default cache. `report` gets each step; `stopping` ends the work. Raises ValueError, with
    what to do, if the model cannot be prepared.
    """
    if folder := find_prepared(key, cache):
        return folder
    order = {
        "model": model.model_dump(),
        "source": str(source),
        "key": key,
        "cache": str(cache) if cache else None,
    }
    crashed: dict[str, str] = {}
    while (end := _run_worker({**order, "crashed": crashed}, report, stopping)) is not None:
        # The processor or a library failed with one precision; others may work.
        if end.status not in _CRASHES or not end.trying or end.trying in crashed:
            raise ValueError(f"preparing ended early, status {end.status}: {end.last_words}")
        crash = signal.Signals(-end.status).name
        crashed[end.trying] = f"cannot be computed here: it ended the process by {crash}"
    if not (folder := find_prepared(key, cache)):
        raise ValueError("the prepared folder is gone again; does another program clear the cache?")
    return folder


def _run_worker(
    order: dict[str, Any], report: Callable[[str], None], stopping: Event | None
) -> _EarlyEnd | None:
    """Run a worker process; None if it has prepared the model.

    Raises ValueError with the worker's reason if it refuses the model.
    """
    # -P: do not import modules from the current folder.
    command = [sys.executable, "-P", "-m", "sidecar.models.preparing.worker"]
    trying = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise,
        subprocess.Popen(  # noqa: S603 - this Python and this package
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True
        ) as worker,
    ):
        assert worker.stdin is not None
        assert worker.stdout is not None
        if stopping is not None:
            Thread(target=_end_when_stopping, args=(worker, stopping), daemon=True).start()
        try:
            # Not through the buffer, which would be written again at the end. The pipe stays open,
            # because the worker ends when it closes. If the worker is gone, its status says why.
            with suppress(BrokenPipeError):
                os.write(worker.stdin.fileno(), json.dumps(order).encode() + b"\n")
            for line in worker.stdout:
                answer = json.loads(line)
                if "refused" in answer:
                    raise ValueError(answer["refused"])
                if "prepared" in answer:  # after this the worker only ends
                    return None
                if "trying" in answer:
                    trying = answer["trying"]
                else:
                    report(answer["step"])
            status = worker.wait()
        finally:
            worker.terminate()
        noise.seek(0)
        last_words = " ".join(noise.read().split())[-_LAST_WORDS:]
        return _EarlyEnd(status, trying, last_words)


def _end_when_stopping(worker: subprocess.Popen[str], stopping: Event) -> None:
    while worker.poll() is None:
        if stopping.wait(_LOOK_SECONDS):
            worker.terminate()
            return
