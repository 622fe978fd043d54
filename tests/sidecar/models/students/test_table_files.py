"""A table survives a restart; what is damaged or of another model is ignored with one warning."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sidecar.models.students.student import Student
from sidecar.models.students.table_files import FILE, load_student, save_student


def test_what_was_saved_is_loaded(student: Student, tmp_path: Path) -> None:
    assert save_student(student, tmp_path / "new")
    loaded = load_student(tmp_path / "new", "model", student.dimensions)
    assert loaded is not None
    for field in dataclasses.fields(Student):
        former, now = getattr(student, field.name), getattr(loaded, field.name)
        np.testing.assert_array_equal(former, now)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def turn_bits(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :: 97] = bytes(len(content[len(content) // 2 :: 97]))
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, empty, turn_bits])
def test_a_damaged_table_is_ignored_with_one_warning(
    student: Student,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    save_student(student, tmp_path)
    damage(tmp_path / FILE)
    assert load_student(tmp_path, "model", student.dimensions) is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"bias": np.array([np.nan] * 16, np.float32)},
        {"weights": np.zeros(3, np.float32)},
        {"pieces": np.zeros(40, np.uint32)},
        {"codes": np.zeros((40, 15), np.int8)},
    ],
    ids=str,
)
def test_arrays_that_do_not_belong_together_are_ignored(
    student: Student, tmp_path: Path, change: dict[str, object]
) -> None:
    save_student(dataclasses.replace(student, **change), tmp_path)  # type: ignore[arg-type]
    assert load_student(tmp_path, "model", student.dimensions) is None


def test_the_table_of_another_model_is_ignored(student: Student, tmp_path: Path) -> None:
    save_student(student, tmp_path)
    assert load_student(tmp_path, "another", student.dimensions) is None
    assert load_student(tmp_path, "model", student.dimensions + 1) is None


def test_a_failed_save_keeps_the_former_table(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_student(student, tmp_path)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fail)
    assert not save_student(dataclasses.replace(student, lessons=9), tmp_path)
    loaded = load_student(tmp_path, "model", student.dimensions)
    assert loaded is not None
    assert loaded.lessons == student.lessons
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
