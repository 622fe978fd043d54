"""Other ways to compute the same model with OpenVINO, beside the one that is shipped.

    python -m benchmarks.engine_forms                   # all-MiniLM-L6-v2
    python -m benchmarks.engine_forms ./bge-small.jar   # another bi-encoder, as `source` names it
    python -m benchmarks.engine_forms --rounds 12 --only qkv,gelu

Each variant changes the f32 graph of the prepared model, or how OpenVINO runs it. The figures are
milliseconds of processor time for 8 texts of 192 tokens and for one of 16, the least of some rounds
in which all variants take turns, and Spearman's correlation with the original's ranking of the
bundled passages. Processor time is what is shared with OpenSearch, and other work on the machine
changes it far less than the clock's time.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.graph_variants import (
    Calibration,
    decompose_attention,
    fuse_projections,
    quantise_statically,
    use_tanh,
)
from benchmarks.weights import SOURCE
from sidecar.config.main_file import Model
from sidecar.models.backends import processor
from sidecar.models.backends.base import FloatArray
from sidecar.models.backends.graphs import GraphBiEncoder
from sidecar.models.backends.openvino import WORDS, graph_file, import_openvino
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import Manifest, prepared_key, read_manifest
from sidecar.models.prepared_backends import default_threads
from sidecar.models.preparing.byte_weights import compress_weights
from sidecar.models.preparing.fixed_scales import calibration_inputs, fix_scales
from sidecar.models.preparing.parity import bundled_texts, compare, score_all
from sidecar.models.sources import find_weights
from sidecar.models.verdicts import read_scores

CASES = ((8, 192), (1, 16))
_PER_TOKEN = 2**63 - 1
"""A group size above every vector's length: one scale for each token."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A change of the graph and of OpenVINO's settings."""

    name: str
    beside: str
    """The variant that it is compared with."""

    change: Callable[[Any], object] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    batch: int = 1
    """How many times as many texts are read in one call; times are divided by it."""

    together: int = 1
    """Calls that run at the same time; times are divided by it."""

    fix: Callable[[Any, Calibration], object] | None = None
    """A change that measures the activations first, to make them bytes with fixed scales."""


class VariantGraph:
    """A compiled variant: the `Graph` of a backend."""

    def __init__(self, folder: Path, variant: Variant, calibration: Calibration) -> None:
        ov = import_openvino()
        graph = ov.Core().read_model(str(graph_file(folder, "f32")))
        if variant.fix is not None:
            variant.fix(graph, calibration)
        if variant.change is not None:
            variant.change(graph)
        settings: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": default_threads(),
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            "CPU_RUNTIME_CACHE_CAPACITY": 100_000,
        }
        compiled = ov.Core().compile_model(graph, "CPU", settings | variant.settings)
        self._words = np.load(folder / WORDS, mmap_mode="r")
        self._requests = [compiled.create_infer_request() for _ in range(variant.together)]

    def run(self, inputs: Sequence[NDArray[np.int64]]) -> FloatArray:
        """One call, for the scores."""
        return np.array(self._requests[0].infer(self._with_words(inputs))[0], np.float32)

    def run_together(self, inputs: Sequence[NDArray[np.int64]]) -> None:
        """A call on each request, at the same time."""
        whole = self._with_words(inputs)
        for request in self._requests:
            request.start_async(whole)
        for request in self._requests:
            request.wait()

    def _with_words(self, inputs: Sequence[NDArray[np.int64]]) -> list[Any]:
        return [*inputs, self._words[inputs[0]].astype(np.float32)]


def variants() -> list[Variant]:
    """What is compared: f32 and int8 as shipped, and each with one thing changed."""
    fast = processor.fast_float()

    def int8(group: int) -> dict[str, object]:
        return {"DYNAMIC_QUANTIZATION_GROUP_SIZE": group, "INFERENCE_PRECISION_HINT": fast}

    def fused_and_compressed(graph: Any) -> None:
        fuse_projections(graph)
        compress_weights(graph)

    def fused_with_parts(graph: Any) -> None:
        fuse_projections(graph)
        decompose_attention(graph)

    def fix_all(graph: Any, calibration: Calibration) -> None:
        fix_scales(graph, calibration, math.inf)

    bf16 = Variant("bf16", "f32", settings={"INFERENCE_PRECISION_HINT": "bf16"})
    return [
        Variant("f32", "f32"),
        *([bf16] if fast == "bf16" else []),
        Variant("f32, fused qkv", "f32", fuse_projections),
        Variant("f32, gelu by tanh", "f32", use_tanh),
        Variant("f32, attention in parts", "f32", decompose_attention),
        Variant("f32, fused qkv and attention in parts", "f32", fused_with_parts),
        Variant(
            "f32, batch x 4, throughput", "f32", None, {"PERFORMANCE_HINT": "THROUGHPUT"}, batch=4
        ),
        Variant("f32, two streams", "f32", settings={"NUM_STREAMS": 2}, together=2),
        Variant("int8", "f32", compress_weights, int8(64)),
        Variant("int8, groups of 32", "int8", compress_weights, int8(32)),
        Variant("int8, groups of 128", "int8", compress_weights, int8(128)),
        Variant("int8, a scale a token", "int8", compress_weights, int8(_PER_TOKEN)),
        Variant("int8, fused qkv", "int8", fused_and_compressed, int8(64)),
        Variant("int8, fixed scales", "int8", None, int8(0), fix=quantise_statically),
        Variant("int8-fixed", "int8", compress_weights, int8(128), fix=fix_scales),
        Variant("int8-fixed, groups of 64", "int8", compress_weights, int8(64), fix=fix_scales),
        Variant("int8-fixed, every layer", "int8", None, int8(0), fix=fix_all),
    ]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("source", nargs="?", default=SOURCE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="parts of names of variants, with commas")
    arguments = parser.parse_args()
    wanted = [part.strip() for part in arguments.only.split(",") if part.strip()]
    model = Model(kind="bi-encoder", source=arguments.source)
    folder, manifest = _prepare(model)
    calibration = list(calibration_inputs(folder, manifest))
    chosen = [
        variant
        for variant in variants()
        if not wanted
        or variant.name in ("f32", "int8")
        or any(part in variant.name for part in wanted)
    ]
    graphs = {}
    for variant in chosen:
        print("compiling", variant.name, file=sys.stderr)
        graphs[variant.name] = VariantGraph(folder, variant, calibration)
    times = _measure(chosen, graphs, arguments.rounds)
    original = read_scores(folder)
    heads = [f"{texts} x {tokens}, ms" for texts, tokens in CASES]
    print(f"{arguments.source}, {processor.arithmetic()}\n")
    print(f"| | {heads[0]} | of | {heads[1]} | of | Spearman | ten best kept |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for variant in chosen:
        graph = graphs[variant.name]
        backend = GraphBiEncoder(folder, manifest, "", graph, graph)
        parity = compare(original, score_all(backend, *bundled_texts("bi-encoder")))
        cells = []
        for case in CASES:
            mine, base = times[variant.name, case], times[variant.beside, case]
            cells.append(f"{mine * 1000:.1f} | {mine / base:.2f}")
        print(
            f"| {variant.name} | {' | '.join(cells)} | {parity.spearman_mean:.4f}"
            f" | {parity.top_10:.0%} |"
        )


def _prepare(model: Model) -> tuple[Path, Manifest]:
    source = find_weights(model, Path.cwd())
    folder = prepare_model(model, source, prepared_key(model, source), None, _tell)
    return folder, read_manifest(folder)


def _tell(step: str) -> None:
    print(step, file=sys.stderr)


def _measure(
    chosen: list[Variant], graphs: dict[str, VariantGraph], rounds: int
) -> dict[tuple[str, tuple[int, int]], float]:
    numbers = np.random.default_rng(7)
    times: dict[tuple[str, tuple[int, int]], float] = {}
    for case in CASES:
        for number in range(rounds + 1):  # the first builds code
            print(f"{case}: round {number} of {rounds}", file=sys.stderr)
            for variant in chosen:
                ids = numbers.integers(1000, 20_000, (case[0] * variant.batch, case[1]))
                before = time.process_time()
                graphs[variant.name].run_together([ids, np.ones_like(ids)])
                taken = time.process_time() - before
                if number:
                    taken /= variant.batch * variant.together
                    key = variant.name, case
                    times[key] = min(taken, times.get(key, taken))
    return times


if __name__ == "__main__":
    main()
