"""The reservoir: bounded, fair, and cut into pieces only where a passage is taken."""

from collections.abc import Sequence

import numpy as np

from sidecar.models.backends.base import FloatArray, Pieces
from sidecar.models.passage_store import passage_digest
from sidecar.models.students.lessons import MOST_PIECES, Reservoir
from tests.sidecar.models.students.conftest import WordsWithPieces, make_texts

READER = WordsWithPieces()


def vectors_of(texts: Sequence[str]) -> FloatArray:
    """Vectors of two numbers that say which text it is."""
    angles = np.array([int.from_bytes(passage_digest(text)[:2]) / 65536 for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def fill(reservoir: Reservoir, texts: Sequence[str]) -> int:
    """Offer texts in chunks as a model reads them; returns how many were cut into pieces."""
    cut = 0

    def read(chosen: Sequence[str]) -> list[Pieces]:
        nonlocal cut
        cut += len(chosen)
        return READER.read_pieces(chosen)

    for start in range(0, len(texts), 8):
        chunk = texts[start : start + 8]
        reservoir.offer([passage_digest(text) for text in chunk], chunk, vectors_of(chunk), read)
    return cut


def test_a_bounded_fair_sample_that_belongs_together() -> None:
    reservoir = Reservoir(2, most=100)
    texts = make_texts(3000)
    cut = fill(reservoir, texts)
    assert (len(reservoir), reservoir.seen) == (100, 3000)
    # 100 x (1 + ln 30) on average; most passages are not cut at all.
    assert 250 < cut < 700
    by_pieces = {READER.read_pieces([text])[0].tobytes(): text for text in texts}
    lessons = reservoir.lessons()
    chosen = [by_pieces[one.tobytes()] for one in lessons.pieces]
    np.testing.assert_allclose(lessons.vectors(), vectors_of(chosen), atol=0.01)
    assert lessons.held_out.tolist() == [passage_digest(text)[0] < 26 for text in chosen]
    places = sorted(texts.index(text) for text in chosen)
    assert 500 < places[len(places) // 2] < 2500


def test_a_tenth_is_held_out_wherever_it_is_read() -> None:
    texts = make_texts(2000)
    shares = []
    for start in (0, 500):
        reservoir = Reservoir(2)
        fill(reservoir, texts[start:])
        shares.append(reservoir.lessons().held_out)
    assert 0.07 < shares[0].mean() < 0.14
    np.testing.assert_array_equal(shares[0][500:], shares[1])


def test_the_memory_is_bounded_in_bytes_too() -> None:
    large = Reservoir(4096)
    texts = [f"w{n} " * 1000 for n in range(40)]
    digests = [passage_digest(text) for text in texts]
    large.offer(digests, texts, np.ones((40, 4096), np.float32), READER.read_pieces)
    lessons = large.lessons()
    assert {len(one) for one in lessons.pieces} == {MOST_PIECES}
    assert large.most * (4096 + 4 * MOST_PIECES) < 2**26
