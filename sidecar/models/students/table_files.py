"""A student's table on disk: one file beside the model's passage vectors.

      student.npz     version, identity of the model, pieces, codes, scales, weights, bias

The file is written under another name and renamed into place, so that it is always whole. It holds
numbers of word pieces and vectors, and no text. A damaged file, or one of another model or version,
is ignored: the student is then taught again.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from sidecar.models.mapped_files import can_be_mapped, map_array
from sidecar.models.students.student import Student

FILE = "student.npz"

_VERSION = 1
# A table of 250,000 pieces and 4096 dimensions has 1 GiB.
_MOST_BYTES = 2**31

_log = logging.getLogger(__name__)


def write_student(student: Student, file: IO[bytes]) -> None:
    """Write a table in the form that `read_student` reads."""
    np.savez(
        file,
        version=np.array(_VERSION),
        identity=np.array(student.identity),
        pieces=student.pieces,
        codes=student.codes,
        scales=student.scales,
        weights=student.weights,
        bias=student.bias,
        lessons=np.array(student.lessons),
        taught_at=np.array(student.taught_at),
    )


def read_student(file: IO[bytes]) -> Student:
    """Read a table; raises ValueError for one that is not whole, and other errors of zip files."""
    with np.load(file, allow_pickle=False) as values:
        if int(values["version"]) != _VERSION:
            raise ValueError(f"it has version {values['version']}, not {_VERSION}")
        student = Student(
            str(values["identity"]),
            values["pieces"],
            values["codes"],
            values["scales"],
            values["weights"],
            values["bias"],
            int(values["lessons"]),
            float(values["taught_at"]),
        )
    _check(student)
    return student


def save_student(student: Student, folder: Path) -> bool:
    """Write a table to its folder. A failure is logged, keeps the former file, returns False."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".unfinished", delete=False) as file:
            try:
                write_student(student, file)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(folder / FILE)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        _log.warning("the student was not saved to %s: %s", folder, error)
        return False
    return True


def load_student(folder: Path, identity: str, dimensions: int) -> Student | None:
    """This model's table in a folder; None if the folder has no usable one.

    If that is safe, its vectors stay in the file, which all processes of a machine share.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        with path.open("rb") as file:  # once, as another process may replace it meanwhile
            student = read_student(file)
            if student.identity != identity or student.dimensions != dimensions:
                raise ValueError("the model or its settings have changed")
            if can_be_mapped(path):
                student = replace(student, codes=map_array(file, "codes"))
    # A damaged file may fail in zip or in numpy; each raises errors of its own.
    except Exception as error:
        _log.warning("the student in %s is not used: %s", folder, error)
        return None
    return student


def _check(student: Student) -> None:
    """Raise ValueError if the arrays do not belong together."""
    count, dimensions = len(student.pieces), len(student.bias)
    expected: Mapping[str, tuple[Any, tuple[int, ...]]] = {
        "pieces": (np.uint32, (count,)),
        "codes": (np.int8, (count, dimensions)),
        "scales": (np.float32, (count,)),
        "weights": (np.float32, (count,)),
        "bias": (np.float32, (dimensions,)),
    }
    for name, (kind, shape) in expected.items():
        array = getattr(student, name)
        if array.dtype != kind or array.shape != shape:
            raise ValueError(f"its {name} are not whole")
    numbers = (student.scales, student.weights, student.bias)
    if not all(np.isfinite(array).all() for array in numbers) or (student.weights < 0).any():
        raise ValueError("a number in it is not finite, or negative")
    if (np.diff(student.pieces.astype(np.int64)) <= 0).any():
        raise ValueError("its pieces are not in order")
