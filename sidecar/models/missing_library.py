"""Says which library is missing and how to install it."""

from __future__ import annotations

from collections.abc import Mapping

_EXTRAS: Mapping[str, str] = {
    "sentence_transformers": "sentence-transformers",
    "torch": "sentence-transformers",
    "transformers": "sentence-transformers",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "ray": "ray",
    "starlette": "ray",
    "valkey": "valkey",
}


def missing_library(error: ImportError) -> str:
    """One line for an ImportError: the library, and the command that installs it."""
    library = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(library)
    package = f"'rescore-sidecar[{extra}]'" if extra else "rescore-sidecar"
    return f"{error}; run: pip install {package}"
