"""Loads a prepared folder into a backend; needs no torch."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from sidecar.cores import WORKERS_VARIABLE, usable_cores
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
from sidecar.models.ways import Way

GraphBackend = GraphBiEncoder | GraphCrossEncoder


def load_prepared(
    folder: Path,
    manifest: Manifest,
    key: str,
    way: Way,
    threads: int | None,
    *,
    warm: bool = True,
) -> GraphBackend:
    """Load a model, and with `warm` run every shape of its inputs once.

    Raises ImportError without the backend's library, and that library's errors for damaged files.
    """
    threads = threads or default_threads()
    graph: Graph
    query_graph: Graph
    if manifest.backend == "onnx":
        graph = query_graph = OnnxGraph(folder / "graph.onnx", threads)
    else:
        graph = query_graph = OpenVinoGraph(folder, manifest.kind, way, threads)
        if warm:
            warm_up(graph, manifest, shapes(manifest.max_tokens))
        if threads > 1 and manifest.kind == "bi-encoder":
            query_graph = OpenVinoGraph(folder, manifest.kind, way, threads=1)
            if warm:
                warm_up(query_graph, manifest, query_shapes(manifest.max_tokens))
    if manifest.kind == "cross-encoder":
        return GraphCrossEncoder(folder, manifest, graph)
    return GraphBiEncoder(folder, manifest, identity(key, way), graph, query_graph)


def identity(key: str, way: Way) -> str:
    """Identity of the vectors that a prepared model makes when it is computed in that way."""
    return blake2b(f"{key} {way.form} {way.computed_in}".encode(), digest_size=16).hexdigest()


def default_threads() -> int:
    """The cores that this process may use; of more than two, one is left for the proxy.

    A worker gets its share of them, at least one.
    """
    cores = usable_cores()
    workers = int(os.environ.get(WORKERS_VARIABLE, "1"))
    if workers > 1:
        return max(1, cores // workers)
    return cores if cores <= 2 else cores - 1
