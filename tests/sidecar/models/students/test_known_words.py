"""The words that are remembered: how many, and which."""

import numpy as np

from sidecar.models.students.known_words import KnownWords


def test_the_memory_is_bounded_and_new_words_replace_old_ones() -> None:
    known = KnownWords(bucket_bits=2)
    hashes = np.arange(1, 1001).astype(np.uint64) * np.uint64(2**54)
    rows = np.zeros((len(hashes), 8), np.uint32)
    rows[:, 0] = np.arange(len(hashes))
    counts = np.ones(len(hashes), np.uint8)
    for start in range(0, len(hashes), 100):
        part = slice(start, start + 100)
        known.remember(hashes[part], counts[part], rows[part])
        found = known.find(hashes)
        assert found.known.sum() <= 16
        assert found.known[part].any()
        assert not found.counts[~found.known].any()
        here = np.flatnonzero(found.known)
        assert found.pieces[here, 0].tolist() == here.tolist()
