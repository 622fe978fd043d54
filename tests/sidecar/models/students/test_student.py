"""A text's vector by the table: known and unknown pieces, empty texts, equal texts."""

import numpy as np

from sidecar.models.backends.base import Pieces
from sidecar.models.students.student import Student


def pieces(*numbers: int) -> Pieces:
    return np.array(numbers, np.uint32)


def test_the_weighted_mean_of_the_pieces() -> None:
    student = Student(
        "model",
        pieces(3, 7),
        np.array([[127, 0], [0, 127]], np.int8),
        np.array([1 / 127, 1 / 127], np.float32),
        np.array([1.0, 3.0], np.float32),
        np.array([0.0, 0.25], np.float32),
        lessons=1,
        taught_at=0.0,
    )
    known, vectors = student.vectors([pieces(3), pieces(3, 7), pieces(7, 3, 3, 9)])
    assert known.all()
    expected = np.array([[1, 0.25], [0.25, 1.0], [0.4, 0.85]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_a_text_without_a_known_piece_is_unknown(student: Student) -> None:
    known, vectors = student.vectors([pieces(), pieces(1000, 2000), pieces(1, 1000)])
    assert known.tolist() == [False, False, True]
    assert not vectors[:2].any()
    np.testing.assert_array_equal(vectors[2], student.vectors([pieces(1)])[1][0])


def test_no_texts_at_all(student: Student) -> None:
    known, vectors = student.vectors([])
    assert (known.shape, vectors.shape) == ((0,), (0, student.dimensions))


def test_many_texts_are_as_each_alone(student: Student) -> None:
    texts = [pieces(n % 40, n % 7, n % 3) for n in range(200)]
    _, together = student.vectors(texts)
    alone = np.concatenate([student.vectors([text])[1] for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)
