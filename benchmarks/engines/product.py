"""The sidecar's own backends, and sentence-transformers as its documentation uses it.

    python -m benchmarks.engines.product KIND ENGINE FOLDER

KIND is bi-encoder or cross-encoder; ENGINE openvino, onnx (both as the sidecar serves them) or
sentence-transformers (`encode` and `CrossEncoder.predict` with all defaults).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sidecar.config.main_file import Model
from sidecar.models.backends.graphs import GraphCrossEncoder
from sidecar.models.preparation import prepare_model
from sidecar.models.prepared import prepared_key, read_manifest
from sidecar.models.scheduling import cut_chunks
from sidecar.models.verdicts import load_judged

Score = Callable[[Sequence[str], Sequence[str]], Any]


def prepared(kind: str, backend: str, folder: str) -> Score:
    """Chunk by chunk, as a search's passages are read."""
    model = Model.model_validate({"kind": kind, "backend": backend, "source": folder})
    source = Path(folder)
    key = prepared_key(model, source)
    place = prepare_model(model, source, key, None, lambda _: None)
    loaded = load_judged(place, read_manifest(place), key, None, lambda _: None)

    def score(queries: Sequence[str], texts: Sequence[str]) -> Any:
        chunks = cut_chunks(texts)
        if isinstance(loaded, GraphCrossEncoder):
            rows = np.zeros((len(queries), len(texts)), np.float32)
            for row, query in zip(rows, queries, strict=True):
                for chunk in chunks:
                    row[chunk] = loaded.score_pairs(query, [texts[i] for i in chunk])
            return rows
        vectors = np.zeros((len(texts), loaded.dimensions), np.float32)
        for chunk in chunks:
            vectors[chunk] = loaded.embed_passages([texts[i] for i in chunk])
        return loaded.embed_queries(queries) @ vectors.T

    return score


def as_published(kind: str, folder: str) -> Score:
    """What the library's users write."""
    if kind == "cross-encoder":
        from sentence_transformers import CrossEncoder

        pairs = CrossEncoder(folder)
        return lambda queries, texts: [
            pairs.predict([(query, text) for text in texts], show_progress_bar=False)
            for query in queries
        ]
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(folder)
    return lambda queries, texts: (
        vectors.encode(list(queries), show_progress_bar=False)
        @ vectors.encode(list(texts), show_progress_bar=False).T
    )


def main() -> None:
    kind, engine, folder = sys.argv[1:]
    if engine == "sentence-transformers":
        score = as_published(kind, folder)
    else:
        score = prepared(kind, engine, folder)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        started = time.perf_counter()
        scores = score(order["queries"], order["texts"])
        seconds = time.perf_counter() - started
        rows = [[float(one) for one in row] for row in scores]
        print(json.dumps({"seconds": seconds, "scores": rows}), flush=True)


if __name__ == "__main__":
    main()
