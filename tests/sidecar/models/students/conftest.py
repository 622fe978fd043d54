"""A small world for students: 40 words, each with a vector; a passage's vector is their sum's."""

from collections.abc import Sequence

import numpy as np
import pytest

from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.backends.fake import FakeBiEncoder
from sidecar.models.passage_store import round_vectors
from sidecar.models.students.student import Student
from sidecar.models.students.teaching import Lessons, split_lessons, teach

WORDS = 40
DIMENSIONS = 16


class WordsWithPieces(FakeBiEncoder):
    """The words of a text are its pieces: `w7` is piece 7."""

    def read_pieces(self, texts: Sequence[str]) -> list[Pieces]:
        return [
            np.array([int(word[1:]) for word in text.split() if word[0] == "w"], np.uint32)
            for text in texts
        ]


def make_lessons(count: int = 600, seed: int = 1) -> Lessons:
    generator = np.random.default_rng(seed)
    words = np.random.default_rng(0).normal(size=(WORDS, DIMENSIONS))
    pieces = [generator.integers(0, WORDS, 12).astype(np.uint32) for _ in range(count)]
    vectors = np.stack([words[one].sum(axis=0) for one in pieces])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    held_out = np.arange(count) % 10 == 0
    return Lessons(pieces, *round_vectors(vectors.astype(np.float32)), held_out)


def make_texts(count: int, seed: int = 1) -> list[str]:
    """Passages of words that have pieces."""
    generator = np.random.default_rng(seed)
    return [" ".join(f"w{n}" for n in generator.integers(0, WORDS, 12)) for _ in range(count)]


def exact_vectors(lessons: Lessons) -> FloatArray:
    return lessons.vectors()


@pytest.fixture(scope="session")
def lessons() -> Lessons:
    return make_lessons()


@pytest.fixture(scope="session")
def student(lessons: Lessons) -> Student:
    return teach("model", split_lessons(lessons)[0])
