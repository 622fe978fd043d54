"""Runs prepared models with OpenVINO, on the CPU; needs no torch.

With precision `int8`, weights have one byte, and OpenVINO converts the activations to one byte at
run time, in groups with a scale each. This needs no sample of a user's texts, and one fixed scale
for all inputs of a layer ranks worse. Measured with all-MiniLM-L6-v2, as Spearman's correlation
with the original's ranking of scientific abstracts and of the Python reference: scales fixed on
scientific abstracts 0.9964 and 0.9939; groups of 64 0.9983 and 0.9987; groups of 32 0.9985 and
0.9990, in 1.14 times the time of groups of 64; groups of 128 0.9977 and 0.9982, in 0.92 of that
time. On a processor that cannot multiply bytes (AVX2 without VNNI), OpenVINO keeps the activations
in floats: any group then gives the same scores in the same time, that of f32.

With `int8-fixed` (`preparing/fixed_scales.py`), only a few layers find scales at run time, so that
groups of 128 cost less: Spearman 0.9983 on the bundled passages and 0.9970 on the Python reference,
with groups of 64 0.9984 and 0.9973, in 0.95 of the time.

The scores of a cross-encoder may be closer together than cosines. One with the same body and
a random head, whose scores hardly differ, kept 0.9939 with groups of 64 and 0.9976 with groups
of 32 in `python -m benchmarks --only models`. So cross-encoders have the smaller groups.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends import processor
from sidecar.models.backends.base import FloatArray
from sidecar.models.ways import Way

_GROUPS = {
    "int8": {"bi-encoder": 64, "cross-encoder": 32},
    "int8-fixed": {"bi-encoder": 128, "cross-encoder": 32},
}
# Each shape has about a hundred entries; a search would have to build a lost entry again.
_CODE_CACHE = 100_000

WORDS = "words.npy"
"""Name of the file of word vectors, shape (pieces, size), in a prepared folder."""


def graph_file(folder: Path, form: str) -> Path:
    """The graph with weights in that form; its weights are in a file of the same name."""
    return folder / f"graph-{form}.xml"


class OpenVinoGraph:
    """One graph. Its word vectors are in a file beside it, which is mapped into memory.

    A call reads the rows of its few hundred words from that file. As a part of the graph, the table
    would be unpacked at start and take half of the memory of a small model.
    """

    def __init__(self, folder: Path, kind: str, way: Way, threads: int) -> None:
        """Compile the graph of a model of that kind.

        Raises ImportError without the library, RuntimeError for files it cannot read.
        """
        group = _GROUPS[way.computed_in][kind] if way.computed_in in _GROUPS else 0
        self._words = np.load(folder / WORDS, mmap_mode="r")
        compiled = (
            import_openvino()
            .Core()
            .compile_model(
                str(graph_file(folder, way.form)),
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": 1,
                    "INFERENCE_NUM_THREADS": threads,
                    # A thread bound to a core would wait there for OpenSearch or the event loop.
                    "ENABLE_CPU_PINNING": False,
                    "INFERENCE_PRECISION_HINT": (
                        "f32" if way.computed_in == "f32" else processor.fast_float()
                    ),
                    "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
                    "CPU_RUNTIME_CACHE_CAPACITY": _CODE_CACHE,
                },
            )
        )
        self._request = compiled.create_infer_request()

    def run(self, inputs: Sequence[NDArray[np.int64]]) -> FloatArray:
        words = self._words[inputs[0]].astype(np.float32)
        answer = self._request.infer([*inputs, words], share_inputs=True)
        rows = np.array(answer[0], np.float32)  # the next call overwrites the request's array
        # OpenVINO returns no rows and no error if its parts disagree about the processor.
        if len(rows) != len(words):
            raise RuntimeError(f"OpenVINO answered with {len(rows)} rows for {len(words)} texts")
        return rows


def import_openvino() -> Any:
    """The library, without its telemetry, which reports each import over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
