"""Reads passages as fast as it can, as `sidecar warm` does, or with sentence-transformers.

    python -m benchmarks.engines.filling ENGINE FOLDER

ENGINE is `warm`, or `sentence-transformers` with what its documentation says for many texts:
`encode` with batches of 32, which sorts them by length. Each line of the input is a JSON array of
texts; the answer is the number of seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar.config.main_file import Model
from sidecar.metrics import Metrics
from sidecar.models.loading import load_models

Read = Callable[[Sequence[str]], object]


def as_published(folder: str) -> Read:
    """What the library's users write for many texts."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder)
    return lambda texts: model.encode(list(texts), batch_size=32, show_progress_bar=False)


def as_warm(folder: str) -> Read:
    """The model and the store of `sidecar warm`, in pages of its length, without a cluster."""
    model = Model.model_validate({"kind": "bi-encoder", "backend": "openvino", "source": folder})
    models = load_models({"minilm": model}, Path.cwd(), Metrics(), passage_store_mb=64)
    scorer = models.bi_encoder("minilm")
    assert scorer is not None

    def read(texts: Sequence[str]) -> None:
        filled = asyncio.run(scorer.fill(sorted(texts, key=len)))
        assert filled == len(texts), "texts of an earlier round"

    return read


def main() -> None:
    engine, folder = sys.argv[1:]
    read = as_warm(folder) if engine == "warm" else as_published(folder)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        texts = json.loads(line)
        started = time.perf_counter()
        read(texts)
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)


if __name__ == "__main__":
    main()
