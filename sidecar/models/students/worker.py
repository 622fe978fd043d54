"""Teaches one student, in a process of its own: `python -m sidecar.models.students.worker`.

Standard input carries the lessons, and the former table if there is one, as arrays; they are never
on disk. Its argument is the file of readings (`readings.py`), or empty. Standard output gets lines
of JSON: `share` while it works, and at the end `bytes`, the two cosines, and then that number of
bytes, which are the new table.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import threading
from pathlib import Path
from typing import IO

import numpy as np

from sidecar.models.students.readings import read_readings
from sidecar.models.students.student import Student
from sidecar.models.students.table_files import read_student, write_student
from sidecar.models.students.teaching import Lessons, mean_cosine, split_lessons, teach

LENGTH = struct.Struct("<Q")
"""The form of a length before the bytes of standard input's parts."""

_REPORTS = 100


def write_order(identity: str, lessons: Lessons, former: Student | None) -> list[bytes]:
    """The parts of standard input, each to be written after its length."""
    order = io.BytesIO()
    np.savez(
        order,
        identity=np.array(identity),
        pieces=np.concatenate([*lessons.pieces, np.empty(0, np.uint32)]),
        lengths=np.array([len(one) for one in lessons.pieces], np.int64),
        codes=lessons.codes,
        scales=lessons.scales,
        held_out=lessons.held_out,
    )
    table = io.BytesIO()
    if former is not None:
        write_student(former, table)
    return [order.getvalue(), table.getvalue()]


def read_order(order: bytes, table: bytes) -> tuple[str, Lessons, Student | None]:
    """The identity of the model, the lessons, and the former table, from the parts."""
    with np.load(io.BytesIO(order), allow_pickle=False) as values:
        ends = np.cumsum(values["lengths"])
        lessons = Lessons(
            np.split(values["pieces"], ends)[:-1],
            values["codes"],
            values["scales"],
            values["held_out"],
        )
        identity = str(values["identity"])
    return identity, lessons, read_student(io.BytesIO(table)) if table else None


def main() -> None:
    """Read the order, teach, and answer."""
    parts = [_read_part(sys.stdin.buffer) for _ in range(2)]
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    identity, lessons, former = read_order(*parts)
    taught, judging = split_lessons(lessons)
    reported = 0

    def report(share: float) -> None:
        nonlocal reported
        if int(share * _REPORTS) > reported:
            reported = int(share * _REPORTS)
            _say({"share": share})

    path = Path(sys.argv[1]) if sys.argv[1] else None
    readings = read_readings(path, lessons.codes.shape[1])
    student = teach(identity, taught, former, readings, report=report)
    content = io.BytesIO()
    write_student(student, content)
    _say(
        {
            "bytes": len(content.getvalue()),
            "cosine": mean_cosine(student, judging),
            "former_cosine": mean_cosine(former, judging) if former is not None else None,
        }
    )
    sys.stdout.buffer.write(content.getvalue())
    sys.stdout.buffer.flush()


def _say(values: dict[str, float | None]) -> None:
    sys.stdout.buffer.write(json.dumps(values).encode() + b"\n")
    sys.stdout.buffer.flush()


def _read_part(file: IO[bytes]) -> bytes:
    head = file.read(LENGTH.size)
    if len(head) < LENGTH.size:
        os._exit(1)
    (length,) = LENGTH.unpack(head)
    return file.read(length)


def _end_with_the_parent() -> None:
    """End when standard input closes: the parent keeps it open until it has the table."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
