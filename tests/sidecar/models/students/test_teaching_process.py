"""The process that teaches: its answer, and that it ends when it should."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sidecar.models.students.student import Student
from sidecar.models.students.teaching import Lessons
from sidecar.models.students.teaching_process import NICEST, TeachingFailed, teach_in_process
from sidecar.models.students.worker import read_order, write_order


@pytest.mark.parametrize("has_former", [False, True])
def test_an_order_is_read_as_it_was_written(
    lessons: Lessons, student: Student, has_former: bool
) -> None:
    former = student if has_former else None
    identity, read, table = read_order(*write_order("model", lessons, former))
    assert identity == "model"
    assert [one.tolist() for one in read.pieces] == [one.tolist() for one in lessons.pieces]
    np.testing.assert_array_equal(read.vectors(), lessons.vectors())
    np.testing.assert_array_equal(read.held_out, lessons.held_out)
    assert (table is not None) == has_former


def test_a_process_teaches(lessons: Lessons, student: Student) -> None:
    shares: list[float] = []
    taught = teach_in_process("model", lessons, None, threading.Event(), shares.append)
    assert taught.is_better
    assert taught.cosine > 0.97
    assert shares[-1] == 1.0
    np.testing.assert_array_equal(taught.student.pieces, student.pieces)


def end_when_begun(monkeypatch: pytest.MonkeyPatch, end: Callable[[int], object]) -> None:
    """Call `end` with the process's id as soon as it has begun."""
    start = subprocess.Popen

    def start_and_end(*arguments: object, **options: object) -> object:
        process: subprocess.Popen[bytes] = start(*arguments, **options)  # type: ignore[call-overload]
        end(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", start_and_end)


def test_a_process_that_is_killed_leaves_no_table(
    lessons: Lessons, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_when_begun(monkeypatch, lambda pid: os.kill(pid, signal.SIGKILL))
    with pytest.raises(TeachingFailed, match="status -9"):
        teach_in_process("model", lessons, None, threading.Event())


def test_stopping_ends_the_process(lessons: Lessons, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = threading.Event()
    pids: list[int] = []

    def stop(pid: int) -> None:
        pids.append(pid)
        stopping.set()

    end_when_begun(monkeypatch, stop)
    with pytest.raises(TeachingFailed):
        teach_in_process("model", lessons, None, stopping)
    assert not Path(f"/proc/{pids[0]}").exists()


def test_it_has_the_low_priority_from_its_first_instruction(
    lessons: Lessons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its imports already use a core that searches need."""
    begun: list[int] = []

    def hold(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        begun.append(pid)

    end_when_begun(monkeypatch, hold)
    set_priority = os.setpriority
    set_to: list[tuple[int, int]] = []

    def record(which: int, who: int, priority: int) -> None:
        set_priority(which, who, priority)
        set_to.append((who, os.getpriority(which, who)))
        os.kill(who, signal.SIGCONT)

    monkeypatch.setattr(os, "setpriority", record)
    taught = teach_in_process("model", lessons, None, threading.Event(), niceness=NICEST)
    assert set_to == [(begun[0], NICEST)]
    assert taught.is_better
