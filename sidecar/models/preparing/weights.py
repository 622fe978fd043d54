"""Reads weights from safetensors files as 32-bit floats."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from sidecar.models.backends.base import FloatArray
from sidecar.models.preparing.errors import NeedsTorch

_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_FLOATS: Mapping[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
}


def has_weights(folder: Path) -> bool:
    """Whether a folder has weights that `read_weights` reads."""
    return (folder / _WHOLE).is_file() or (folder / _INDEX).is_file()


def read_weights(folder: Path) -> dict[str, FloatArray]:
    """All float tensors of a folder's weights by name; tensors of integers are left out.

    Raises NeedsTorch if there are only weights of another form, and OSError or ValueError if a file
    cannot be read or is damaged.
    """
    if not has_weights(folder):
        raise NeedsTorch(f"{folder.name} has no model.safetensors")
    return dict(tensor for path in _files(folder) for tensor in _read_file(path))


def _files(folder: Path) -> list[Path]:
    if (folder / _WHOLE).is_file():
        return [folder / _WHOLE]
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        names = sorted({str(name) for name in index["weight_map"].values()})
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"{folder / _INDEX} is damaged") from None
    if any(Path(name).name != name for name in names):
        raise ValueError(f"{folder / _INDEX} names files of another folder")
    return [folder / name for name in names]


def _read_file(path: Path) -> Iterator[tuple[str, FloatArray]]:
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    for name, tensor in tensors:
        shape, numbers = tensor["shape"], tensor["data"]
        if tensor["dtype"] == "BF16":  # the upper half of a 32-bit float
            floats = np.frombuffer(numbers, np.uint16).astype(np.uint32) << 16
            yield name, floats.view(np.float32).reshape(shape)
        elif dtype := _FLOATS.get(tensor["dtype"]):
            yield name, np.frombuffer(numbers, dtype).astype(np.float32, copy=False).reshape(shape)
