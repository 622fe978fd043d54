"""The vectors are those of `Student.vectors`, for every kind of text and table."""

import numpy as np
import pytest

from sidecar.models.backends.base import Pieces
from sidecar.models.students.quick_table import QuickTable
from sidecar.models.students.student import Student
from sidecar.models.students.word_pieces import join_pieces


def make_student(numbers: list[int], dimensions: int = 8) -> Student:
    generator = np.random.default_rng(1)
    return Student(
        "model",
        np.array(numbers, np.uint32),
        generator.integers(-127, 128, (len(numbers), dimensions)).astype(np.int8),
        generator.uniform(0.001, 0.01, len(numbers)).astype(np.float32),
        generator.uniform(0.1, 5, len(numbers)).astype(np.float32),
        generator.normal(scale=0.1, size=dimensions).astype(np.float32),
        lessons=1,
        taught_at=0.0,
    )


@pytest.mark.parametrize("numbers", [[], [3], list(range(0, 300, 3)), [5, 9, 2**31]])
def test_the_vectors_are_those_of_the_student(numbers: list[int]) -> None:
    student = make_student(numbers)
    generator = np.random.default_rng(2)
    texts: list[Pieces] = [
        generator.integers(0, 320, length).astype(np.uint32) for length in (0, 1, 5, 200, 0, 31) * 9
    ]
    texts += [np.array([1], np.uint32), np.array([2**32 - 1, 3], np.uint32)]
    known, expected = student.vectors(texts)
    vectors = QuickTable(student).vectors(join_pieces(texts))
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert vectors.any(axis=1).tolist() == known.tolist()


def test_no_texts_at_all(student: Student) -> None:
    assert QuickTable(student).vectors(join_pieces([])).shape == (0, student.dimensions)
