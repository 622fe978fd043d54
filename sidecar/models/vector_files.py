"""Codes of vectors as a file that faiss reads: a flat index of one byte a value.

The sidecar needs none of faiss's searches, and the library takes 66 MB. So the few fields of this
one kind of index are written and read here. The tests compare with the library.

Source: `write_index` in faiss/impl/index_write.cpp, version 1.15.1, little-endian:

    "IxSQ"                                                     kind of index
    int32 dimensions, int64 count, 2 x int64 1 << 20           header; the last two are unused
    bool is_trained, int32 metric (0: inner product)
    int32 quantizer (8: signed bytes, stored plus 128), int32 range method, float range argument
    uint64 dimensions, uint64 bytes a vector, uint64 0         quantizer; its training is empty
    uint64 size, bytes                                         codes, one vector after the other
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEAD = struct.Struct("<4siqqq?iiifQQQQ")
_KIND = b"IxSQ"
_UNUSED = 1 << 20
_INNER_PRODUCT = 0
_SIGNED_BYTES = 8
_OFFSET = 128
# Rows that are converted at once: some megabytes.
_BLOCK = 32_768


class DamagedVectors(ValueError):
    """A file that is not whole, or not of the one kind that is written here."""


def write_vectors(path: Path, codes: NDArray[np.int8]) -> None:
    """Write codes of shape (n, dimensions); raises OSError."""
    count, dimensions = codes.shape
    quantizer = (_SIGNED_BYTES, 0, 0.0, dimensions, dimensions, 0)
    head = _HEAD.pack(
        *(_KIND, dimensions, count, _UNUSED, _UNUSED, True, _INNER_PRODUCT),
        *quantizer,
        codes.size,
    )
    with path.open("wb") as file:
        file.write(head)
        for start in range(0, count, _BLOCK):
            # The stored byte is the code plus 128, which is the code with its first bit turned.
            block = codes[start : start + _BLOCK].view(np.uint8) ^ np.uint8(_OFFSET)
            file.write(np.ascontiguousarray(block).data)


def read_vectors(path: Path) -> NDArray[np.int8]:
    """The codes, shape (n, dimensions); raises DamagedVectors, or OSError if there is no file."""
    codes = map_vectors(path)
    return (codes ^ np.uint8(_OFFSET)).view(np.int8)


def map_vectors(path: Path) -> NDArray[np.uint8]:
    """The codes in the file itself, plus 128, shape (n, dimensions), read-only.

    Raises what `read_vectors` raises.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise DamagedVectors(f"{path.name} is not whole")
        kind, dimensions, count, _, _, trained, metric, *quantizer, size = _HEAD.unpack(head)
        written = (kind, trained, metric, quantizer)
        expected = [_SIGNED_BYTES, 0, 0.0, dimensions, dimensions, 0]
        if written != (_KIND, True, _INNER_PRODUCT, expected) or dimensions < 1 or count < 0:
            raise DamagedVectors(f"{path.name} is another kind of index")
        length = os.fstat(file.fileno()).st_size - _HEAD.size
        if not length == size == count * dimensions:
            raise DamagedVectors(f"{path.name} is not whole")
        if not count:
            return np.empty((0, dimensions), np.uint8)
        codes = np.memmap(file, np.uint8, "r", _HEAD.size, (count, dimensions))
        return codes.view(np.ndarray)
