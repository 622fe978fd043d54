"""Prepared models run by OpenVINO, on the processor; no torch is needed.

Weights of one byte are multiplied with activations that are brought to one byte as they come, in
groups with a scale each (precision `int8`). That needs no sample of a user's texts, unlike scales
that are fixed beforehand: with all-MiniLM-L6-v2, scales fixed on scientific abstracts kept
a Spearman correlation of 0.9964 to the original's ranking of such abstracts and 0.9939 for the
Python reference, groups of 64 keep 0.9983 and 0.9987. A group of 32 gives 0.9985 and 0.9990 and
takes 1.14 times as long, one of 128 gives 0.9977 and 0.9982 in 0.92 of the time.

A cross-encoder's scores may lie nearer together than cosines: one of the same body with a random
head, whose scores hardly differ, kept 0.9939 with groups of 64 and 0.9976 with groups of 32 in
`python -m benchmarks --only models`. So cross-encoders have the smaller groups.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.models.backends.base import FloatArray
from sidecar.models.prepared import Manifest

_GROUPS = {"bi-encoder": 64, "cross-encoder": 32}
# Each shape has about a hundred entries; what falls out would be built again in a search.
_CODE_CACHE = 100_000


class OpenVinoGraph:
    """One graph, with its word vectors beside it in a file that is only mapped.

    The rows of a few hundred words are read from that file as they are needed. Within the graph
    the table would be unpacked at start, half of the memory of a small model.
    """

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        """Raises ImportError without the library, RuntimeError for files it cannot read."""
        precision = manifest.precision
        group = _GROUPS[manifest.kind] if precision == "int8" else 0
        self._words = np.load(folder / "words.npy", mmap_mode="r")
        compiled = (
            import_openvino()
            .Core()
            .compile_model(
                str(folder / "graph.xml"),
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": 1,
                    "INFERENCE_NUM_THREADS": threads,
                    # Bound to a core, a thread would wait there for OpenSearch or the event loop.
                    "ENABLE_CPU_PINNING": False,
                    "INFERENCE_PRECISION_HINT": "f32" if precision == "f32" else fast_float(),
                    "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
                    "CPU_RUNTIME_CACHE_CAPACITY": _CODE_CACHE,
                },
            )
        )
        self._request = compiled.create_infer_request()

    def run(self, inputs: Sequence[NDArray[np.int64]]) -> FloatArray:
        words = self._words[inputs[0]].astype(np.float32)
        answer = self._request.infer([*inputs, words], share_inputs=True)
        return np.array(answer[0], np.float32)  # the request writes over its own at the next call


def import_openvino() -> Any:
    """The library, kept from reporting its use over the network as it does when imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def fast_float() -> str:
    """`bf16` where the processor is quicker with it than with `f32`.

    Intel's have bf16 in two forms: tile multiplication (AMX) is many times as fast as f32, the
    older instruction alone is slower once conversions are counted (1.6 times, measured).
    """
    if platform.machine() in ("aarch64", "arm64"):
        return "bf16" if "bf16" in _processor_flags("Features") else "f32"
    flags = _processor_flags("flags")
    amd = "amd" in _processor_line("vendor_id").lower()
    return "bf16" if "amx_bf16" in flags or (amd and "avx512_bf16" in flags) else "f32"


def _processor_flags(field: str) -> frozenset[str]:
    return frozenset(_processor_line(field).split())


def _processor_line(field: str) -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == field:
                    return value
    except OSError:
        pass
    return ""
