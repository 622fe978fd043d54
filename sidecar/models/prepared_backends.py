"""From a prepared folder to a backend that is ready to score; nothing here needs torch."""

from __future__ import annotations

import os
from pathlib import Path

from sidecar.models.backends.graphs import (
    Graph,
    GraphBiEncoder,
    GraphCrossEncoder,
    query_shapes,
    shapes,
    warm_up,
)
from sidecar.models.backends.onnx import OnnxGraph
from sidecar.models.backends.openvino import OpenVinoGraph
from sidecar.models.prepared import Manifest


def load_prepared(
    folder: Path, manifest: Manifest, identity: str, threads: int | None
) -> GraphBiEncoder | GraphCrossEncoder:
    """Load a model and let it read every shape that it may meet.

    Raises ImportError without the backend's library, and what that raises for damaged files.
    """
    threads = threads or default_threads()
    graph: Graph
    query_graph: Graph
    if manifest.backend == "onnx":
        graph = query_graph = OnnxGraph(folder / "graph.onnx", threads)
    else:
        graph = query_graph = OpenVinoGraph(folder, manifest, threads)
        warm_up(graph, manifest, shapes(manifest.max_tokens))
        if threads > 1 and manifest.kind == "bi-encoder":
            query_graph = OpenVinoGraph(folder, manifest, threads=1)
            warm_up(query_graph, manifest, query_shapes(manifest.max_tokens))
    if manifest.kind == "cross-encoder":
        return GraphCrossEncoder(folder, manifest, graph)
    return GraphBiEncoder(folder, manifest, identity, graph, query_graph)


def default_threads() -> int:
    """The cores that this process may use, less one for the proxy where there are several."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # no such limit: the file is absent, or its quota is "max"
        pass
    return cores if cores <= 2 else cores - 1
