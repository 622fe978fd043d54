"""The install command names the extra of the library that is missing."""

import pytest

from sidecar.models.missing_library import missing_library


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("sentence_transformers", "pip install 'rescore-sidecar[sentence-transformers]'"),
        ("torch.nn", "pip install 'rescore-sidecar[sentence-transformers]'"),
        ("onnxruntime", "pip install 'rescore-sidecar[onnx]'"),
        ("ray.serve", "pip install 'rescore-sidecar[ray]'"),
        ("openvino", "pip install rescore-sidecar"),
        (None, "pip install rescore-sidecar"),
    ],
)
def test_each_library_has_its_command(name: str | None, command: str) -> None:
    told = missing_library(ImportError("No module named 'x'", name=name))
    assert told == f"No module named 'x'; run: {command}"
