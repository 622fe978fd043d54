"""The file of vectors: the library reads ours, and we read the library's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar.models.vector_files import DamagedVectors, read_vectors, write_vectors

SHAPES = [(0, 384), (1, 1), (50, 16), (40_000, 8)]


def some_codes(shape: tuple[int, int]) -> Any:
    return np.random.default_rng(3).integers(-128, 128, shape, dtype=np.int8)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_library_reads_what_is_written(shape: tuple[int, int], tmp_path: Path) -> None:
    import faiss

    codes = some_codes(shape)
    write_vectors(tmp_path / "ours", codes)
    index = faiss.read_index(str(tmp_path / "ours"))
    assert (index.ntotal, index.d) == shape
    np.testing.assert_array_equal(index.reconstruct_n(0, len(codes)).reshape(shape), codes)


@pytest.mark.parametrize("shape", SHAPES)
def test_files_of_the_library_are_read_and_written_alike(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    import faiss

    codes = some_codes(shape)
    index = faiss.IndexScalarQuantizer(
        shape[1], faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    index.add(codes.astype(np.float32))
    faiss.write_index(index, str(tmp_path / "theirs"))
    np.testing.assert_array_equal(read_vectors(tmp_path / "theirs"), codes)
    write_vectors(tmp_path / "ours", codes)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_rows_that_are_part_of_a_larger_array_are_written(tmp_path: Path) -> None:
    codes = some_codes((20, 8))[::2, ::2]
    write_vectors(tmp_path / "part", codes)
    np.testing.assert_array_equal(read_vectors(tmp_path / "part"), codes)


def test_no_byte_less_or_more_passes(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    write_vectors(path, some_codes((5, 4)))
    whole = path.read_bytes()
    for content in (*(whole[:length] for length in range(len(whole))), whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(DamagedVectors):
            read_vectors(path)


def test_another_kind_of_index_is_refused(tmp_path: Path) -> None:
    import faiss

    path = tmp_path / "vectors"
    for index in (faiss.IndexFlatIP(4), faiss.IndexScalarQuantizer(4, 0, faiss.METRIC_L2)):
        index.train(np.ones((2, 4), np.float32))
        index.add(np.ones((50, 4), np.float32))
        faiss.write_index(index, str(path))
        with pytest.raises(DamagedVectors):
            read_vectors(path)
