"""Runs prepared models with ONNX Runtime, on the CPU, in f32; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray


class OnnxGraph:
    """One graph, loaded into ONNX Runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises ImportError without the library."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # A spinning thread takes the core from OpenSearch, or from the thread it waits for.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Shapes vary: the runtime would keep a memory pattern for each of them, to no use.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._names = [value.name for value in self._session.get_inputs()]

    def run(self, inputs: Sequence[NDArray[np.int64]]) -> FloatArray:
        [answer] = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return np.asarray(answer, np.float32)
