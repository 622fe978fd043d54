"""Runs `worker.py`, which teaches one student, and reads its answer."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from sidecar.models.students.student import Student
from sidecar.models.students.table_files import read_student
from sidecar.models.students.teaching import Lessons
from sidecar.models.students.worker import LENGTH, write_order

MOST_SECONDS = 1800.0
"""A teaching that takes longer is ended."""

NICEST = 19
"""The lowest priority: it runs when nothing else wants the processor."""

_LOOK_SECONDS = 0.2
# Libraries of linear algebra read these when they are loaded; each by default takes every core.
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)


class TeachingFailed(Exception):
    """The process ended without a table: it was stopped, killed, or had too little memory."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A new table, and how near it and the former one come to the model on held-out passages."""

    student: Student
    cosine: float
    """Mean cosine of the student's vectors with the model's."""

    former_cosine: float | None
    """The same of the table that it would replace; None if there is none."""

    @property
    def is_better(self) -> bool:
        """Whether the new table should replace the former."""
        return self.former_cosine is None or self.cosine > self.former_cosine


def teach_in_process(
    identity: str,
    lessons: Lessons,
    former: Student | None,
    stopping: Event,
    report: Callable[[float], object] = lambda share: None,
    niceness: int = 0,
    readings: Path | None = None,
) -> Taught:
    """Teach in a process of its own; blocks until it ends.

    `stopping` ends it early; `report` gets the share of the work that is done. `niceness`: from 0
    to NICEST. `readings`: the file of the model's readings of word pieces. Raises TeachingFailed.
    """
    parts = write_order(identity, lessons, former)
    # -P: do not import modules from the current folder.
    command = [sys.executable, "-P", "-m", "sidecar.models.students.worker"]
    command.append("" if readings is None else str(readings.absolute()))
    with subprocess.Popen(  # noqa: S603 - this Python and this package
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ONE_THREAD},
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        # Not by the process itself: it would import its modules first, beside searches.
        os.setpriority(os.PRIO_PROCESS, worker.pid, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
        Thread(target=_end_when_stopping, args=(worker, stopping), daemon=True).start()
        try:
            with suppress(BrokenPipeError):  # its status says that it has ended
                for part in parts:
                    worker.stdin.write(LENGTH.pack(len(part)) + part)
                worker.stdin.flush()
            for line in worker.stdout:
                answer = json.loads(line)
                if "share" in answer:
                    report(answer["share"])
                    continue
                content = worker.stdout.read(answer["bytes"])
                if len(content) < answer["bytes"]:
                    break
                student = read_student(io.BytesIO(content))
                return Taught(student, answer["cosine"], answer["former_cosine"])
            raise TeachingFailed(f"it ended early, status {worker.wait()}")
        finally:
            worker.kill()
            with suppress(BrokenPipeError):
                worker.stdin.close()


def _end_when_stopping(worker: subprocess.Popen[bytes], stopping: Event) -> None:
    waited = 0.0
    while worker.poll() is None:
        if stopping.wait(_LOOK_SECONDS) or waited > MOST_SECONDS:
            worker.kill()
            return
        waited += _LOOK_SECONDS
