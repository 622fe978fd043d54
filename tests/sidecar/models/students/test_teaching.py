"""Teaching: what is learned, from where it starts, and what held-out passages say."""

import numpy as np
import pytest

from sidecar.models.passage_store import round_vectors
from sidecar.models.students.student import Student
from sidecar.models.students.teaching import Lessons, mean_cosine, split_lessons, teach
from tests.sidecar.models.students.conftest import DIMENSIONS, WORDS, make_lessons


def test_a_student_learns_what_was_never_shown(lessons: Lessons, student: Student) -> None:
    taught, judging = split_lessons(lessons)
    assert (len(taught), len(judging)) == (540, 60)
    begun = teach("model", taught, passes=0)
    assert mean_cosine(student, judging) > 0.97
    assert mean_cosine(student, judging) > mean_cosine(begun, judging)
    assert (student.identity, student.lessons) == ("model", 540)
    assert student.pieces.tolist() == list(range(WORDS))


def test_teaching_again_starts_from_the_former_table(student: Student) -> None:
    few = make_lessons(20, seed=2)
    fresh = make_lessons(300, seed=3)
    again = teach("model", few, student, passes=1)
    assert mean_cosine(again, fresh) > mean_cosine(teach("model", few, passes=1), fresh)
    assert again.lessons == student.lessons, "it still knows what it learned before"


def test_new_pieces_join_the_former_ones(student: Student) -> None:
    new = [np.array([n % WORDS, 500 + n], np.uint32) for n in range(10)]
    vectors = np.eye(10, DIMENSIONS, dtype=np.float32)
    more = Lessons(new, *round_vectors(vectors), np.zeros(10, np.bool_))
    again = teach("model", more, student)
    assert again.pieces.tolist() == [*range(WORDS), *range(500, 510)]
    assert again.vectors([new[3][1:]])[0].all()


def test_lessons_without_any_piece_do_no_harm() -> None:
    nothing = [np.empty(0, np.uint32)] * 3
    vectors = np.eye(3, DIMENSIONS, dtype=np.float32)
    student = teach("model", Lessons(nothing, *round_vectors(vectors), np.zeros(3, np.bool_)))
    assert len(student.pieces) == 0
    assert not student.vectors(nothing)[0].any()
    assert np.isfinite(student.bias).all()


def test_without_lessons_nothing_is_taught(lessons: Lessons) -> None:
    with pytest.raises(ValueError, match="no lessons"):
        teach("model", lessons.take(np.empty(0, np.intp)))
