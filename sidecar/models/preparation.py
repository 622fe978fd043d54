"""Finds a model's prepared folder, and has it made when there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from sidecar.config import Model
from sidecar.models.prepared import find_prepared

_LAST_WORDS = 300
_LOOK_SECONDS = 0.2


def prepare_model(
    model: Model,
    source: Path,
    key: str,
    cache: Path | None,
    report: Callable[[str], None],
    stopping: Event | None = None,
) -> Path:
    """The prepared folder of a model; making it takes from seconds to minutes and a gigabyte.

    `source`: the folder of its weights. `cache`: where to look first and to put it; the default
    cache when None. `report` is told each step. Once `stopping` is set the work is given up.
    Raises ValueError with what to do when the model cannot be prepared.
    """
    if folder := find_prepared(key, cache):
        return folder
    order = {
        "model": model.model_dump(),
        "source": str(source),
        "key": key,
        "cache": str(cache) if cache else None,
    }
    # -P: not the modules of the folder that the user happens to be in.
    command = [sys.executable, "-P", "-m", "sidecar.models.preparing.worker"]
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
            # Past the buffer, which would be written once more at the end; and left open: the
            # worker ends when it is closed. Of one that is gone already the status is told below.
            with suppress(BrokenPipeError):
                os.write(worker.stdin.fileno(), json.dumps(order).encode() + b"\n")
            for line in worker.stdout:
                answer = json.loads(line)
                if "refused" in answer:
                    raise ValueError(answer["refused"])
                if "prepared" in answer:  # what follows is only the worker's own end
                    break
                report(answer["step"])
        finally:
            worker.terminate()
        if not (folder := find_prepared(key, cache)):
            noise.seek(0)
            words = " ".join(noise.read().split())[-_LAST_WORDS:]
            raise ValueError(f"preparing ended early, status {worker.wait()}: {words}")
    return folder


def _end_when_stopping(worker: subprocess.Popen[str], stopping: Event) -> None:
    while worker.poll() is None:
        if stopping.wait(_LOOK_SECONDS):
            worker.terminate()
            return
