"""Readings of word pieces: their file, and what a student makes of them."""

from pathlib import Path

import numpy as np
import pytest

from sidecar.models.students.readings import read_readings, write_readings
from sidecar.models.students.teaching import make_first_student, mean_cosine, split_lessons, teach
from tests.sidecar.models.students.conftest import DIMENSIONS, WORDS, make_lessons

# What the lessons' model says of a single word, seen in another space.
VECTORS = np.random.default_rng(0).normal(size=(WORDS, DIMENSIONS)).astype(np.float32)
TURNED = VECTORS @ np.linalg.qr(np.random.default_rng(7).normal(size=(DIMENSIONS,) * 2))[0]


def test_what_was_written_is_read_less_its_mean(tmp_path: Path) -> None:
    write_readings(TURNED + 5, tmp_path / "readings.npz")
    read = read_readings(tmp_path / "readings.npz", DIMENSIONS)
    assert read is not None
    assert np.allclose(read, TURNED - TURNED.mean(axis=0), atol=0.05)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_files_of_no_use_are_ignored(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "readings.npz"
    if content is None:
        write_readings(TURNED, path)
        assert read_readings(path, DIMENSIONS + 1) is None
    else:
        path.write_bytes(content)
        assert read_readings(path, DIMENSIONS) is None
    assert read_readings(None, DIMENSIONS) is None


def test_pieces_that_no_lesson_has_are_known_from_their_readings() -> None:
    lessons = make_lessons(400)
    seen = np.array([one.max() < WORDS - 5 for one in lessons.pieces])
    taught, others = lessons.take(np.flatnonzero(seen)), lessons.take(np.flatnonzero(~seen))
    with_readings = teach("model", taught, readings=TURNED)
    assert with_readings.pieces.tolist() == list(range(WORDS))
    assert mean_cosine(with_readings, others) > mean_cosine(teach("model", taught), others) + 0.02


def test_the_first_student_needs_no_lesson_and_gives_way_to_lessons() -> None:
    taught, judging = split_lessons(make_lessons(300))
    first = make_first_student("model", VECTORS - VECTORS.mean(axis=0))
    assert (first.lessons, first.taught_at) == (0, 0.0)
    assert mean_cosine(first, judging) > 0.5
    again = teach("model", taught, first, TURNED)
    alone = teach("model", taught, None, TURNED)
    assert np.array_equal(again.codes, alone.codes), "it is not a former table to start from"
