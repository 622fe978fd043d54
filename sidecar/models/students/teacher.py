"""Teaches a model's student while the sidecar runs, and picks up tables of other processes.

A thread looks every few seconds whether a new teaching is due. At most one runs at a time, in a
process of the lowest priority; teaching takes at most a twentieth of the time of one core.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar.metrics import Metrics
from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.backends.piece_rules import PieceRules
from sidecar.models.students.estimating import Estimator
from sidecar.models.students.lessons import Reservoir
from sidecar.models.students.readings import read_readings
from sidecar.models.students.student import Student
from sidecar.models.students.table_files import FILE, load_student, save_student
from sidecar.models.students.teaching import make_first_student
from sidecar.models.students.teaching_process import NICEST, TeachingFailed, teach_in_process

FIRST_LESSONS = 1000
"""Passages that the model must have read before they teach a student."""

TICK_SECONDS = 5.0
"""How often the thread looks whether there is something to do."""

_LOOK_SECONDS = 60.0
_PAUSE_SECONDS = 600.0
_IDLE_SHARE = 20
# The error has risen if it is this many times what it was soon after the last teaching.
_RISEN = 1.25

_log = logging.getLogger(__name__)


class Teacher:
    """The lessons of one model, its student, and the thread that teaches it."""

    def __init__(
        self,
        name: str,
        identity: str,
        dimensions: int,
        read_pieces: Callable[[Sequence[str]], Sequence[Pieces]],
        memory_bytes: int,
        metrics: Metrics,
        folder: Path | None = None,
        *,
        in_background: bool = True,
        teaches: bool = True,
        readings: Path | None = None,
        rules: PieceRules | None = None,
    ) -> None:
        """Load the table.

        `folder`: where the table is; None if it ends with the process. `readings`: the file of the
        model's readings of word pieces (`readings.py`); None if there is none. `rules`: those of
        `read_pieces`. With `in_background=False`, only `teach_now` teaches. Without `teaches`,
        another process does, and its tables are used.
        """
        self.rules = rules
        self.estimator = Estimator(name, read_pieces, memory_bytes, metrics, rules)
        self.lessons = Reservoir(dimensions)
        self._name = name
        self._teaches = teaches
        self._identity = identity
        self._dimensions = dimensions
        self.read_pieces = read_pieces
        self._folder = folder
        self.readings = readings
        self._teachings = metrics.student_teachings
        self._stopping = threading.Event()
        self._mtime: int | None = None
        self._looked = float("-inf")
        self._not_before = float("-inf")
        self._error_then: float | None = None
        self._needed = FIRST_LESSONS
        self.look()
        first = read_readings(readings, dimensions) if self.estimator.student is None else None
        if first is not None:
            self.estimator.use(make_first_student(identity, first))
        if (student := self.estimator.student) is not None:
            # A restart begins with no lessons; a few must not replace what many have taught.
            self._needed = max(FIRST_LESSONS, student.lessons // 4)
        self._thread: threading.Thread | None = None
        if in_background:
            self._thread = threading.Thread(target=self._work, name="teacher", daemon=True)
            self._thread.start()

    def offer(self, digests: Sequence[bytes], texts: Sequence[str], vectors: FloatArray) -> None:
        """Passages that the model has just read; called in its thread."""
        self.lessons.offer(digests, texts, vectors, self.read_pieces)

    def look(self) -> None:
        """Use the newest table on disk, if it is newer than the one in use."""
        self._looked = time.monotonic()
        if self._folder is None:
            return
        try:
            mtime = (self._folder / FILE).stat().st_mtime_ns
        except OSError:
            return  # there is none
        if mtime == self._mtime:
            return
        self._mtime = mtime
        student = load_student(self._folder, self._identity, self._dimensions)
        present = self.estimator.student
        if student is not None and (present is None or student.taught_at > present.taught_at):
            self.estimator.use(student)

    def is_due(self) -> bool:
        """Whether there are enough new lessons, or the error has risen."""
        if self.lessons.seen < FIRST_LESSONS or time.monotonic() < self._not_before:
            return False
        if self.lessons.seen >= self._needed:
            return True
        error = self.estimator.error
        if error is None:
            return False
        if self._error_then is None:
            self._error_then = error
        return error > _RISEN * self._error_then

    def teach_now(
        self, report: Callable[[float], object] = lambda share: None, niceness: int = 0
    ) -> bool:
        """Teach with the present lessons; whether a better table is in use now.

        Blocks for seconds to two minutes. Raises TeachingFailed, also after `close`.
        """
        lessons = self.lessons.lessons()
        former = self.estimator.student
        started = time.monotonic()
        try:
            taught = teach_in_process(
                self._identity, lessons, former, self._stopping, report, niceness, self.readings
            )
        except TeachingFailed:
            self._teachings.labels(self._name, "failed").inc()
            raise
        finally:
            seconds = time.monotonic() - started
            self._not_before = time.monotonic() + max(_PAUSE_SECONDS, _IDLE_SHARE * seconds)
            self._needed = 2 * max(FIRST_LESSONS, self.lessons.seen)
            self._error_then = None
        self._teachings.labels(self._name, "better" if taught.is_better else "no_better").inc()
        _log.info(
            "the student of model %s learned from %d passages in %.0f s: cosine %.3f, before %s",
            *(self._name, len(lessons), seconds, taught.cosine),
            "none" if taught.former_cosine is None else f"{taught.former_cosine:.3f}",
        )
        if taught.is_better:
            student: Student | None = None
            if self._folder is not None and save_student(taught.student, self._folder):
                student = load_student(self._folder, self._identity, self._dimensions)
            self.estimator.use(student or taught.student)
        return taught.is_better

    def close(self) -> None:
        """End a teaching at once, and the thread; a second call does nothing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            try:
                if time.monotonic() - self._looked >= _LOOK_SECONDS:
                    self.look()
                if self._teaches and self.is_due():
                    self.teach_now(niceness=NICEST)
            except Exception as error:
                if not self._stopping.is_set():
                    _log.warning("the student of model %s cannot be taught: %s", self._name, error)
