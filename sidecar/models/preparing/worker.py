"""Prepares one model, in a process of its own: `python -m sidecar.models.preparing.worker`.

Torch and the quantiser take a gigabyte, write to the terminal and change settings of the whole
process; all of that goes with it. A line of JSON on standard input says what to prepare; lines on
standard output say how it goes: `step`, and at last `prepared` or `refused`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from sidecar.config import Model
from sidecar.models.prepared import Manifest, Parity, new_prepared, write_manifest
from sidecar.models.prepared_backends import load_prepared
from sidecar.models.preparing.parity import bundled_texts, compare, describe, passes

_TRIED = {"auto": ("int8", "bf16"), "int8": ("int8",), "bf16": ("bf16",), "f32": ("f32",)}


def prepare(
    model: Model, source: Path, key: str, cache: Path | None, report: Callable[[str], None]
) -> None:
    """Fill the prepared folder of that key. `source`: the folder of the weights.

    Raises ValueError when the model cannot be prepared or does not pass the gate, ImportError
    when a library is missing, and what reading the weights raises.
    """
    from sidecar.models.preparing.exporting import export_onnx, export_openvino
    from sidecar.models.preparing.original import OriginalModel, score_all

    report("reading the weights")
    original = OriginalModel(source, model.kind, model.max_tokens)
    texts = bundled_texts(model.kind)
    report("ranking sample passages with the original")
    expected = original.scores(*texts)
    precisions = ("f32",) if model.backend == "onnx" else _TRIED[model.precision]
    with new_prepared(key, cache) as folder:
        original.save_tokenizer(folder / "tokenizer.json")
        failed = ""
        for precision in precisions:
            manifest = Manifest(
                kind=model.kind,
                backend=model.backend,
                precision=precision,
                max_tokens=original.max_tokens,
                dimensions=original.dimensions,
                pad_id=original.pad_id,
                reads_types=original.reads_types,
                query_prompt=original.query_prompt,
                passage_prompt=original.passage_prompt,
                parity=Parity(0, 0, 0.0, 0.0, 0.0),
            )
            report(f"converting to {precision}")
            if model.backend == "onnx":
                export_onnx(original, folder)
            else:
                export_openvino(original, precision, folder)
            report(f"ranking the same passages in {precision}")
            backend = load_prepared(folder, manifest, key, model.threads)
            parity = compare(expected, score_all(backend, *texts))
            if passes(parity, precision):
                write_manifest(folder, dataclasses.replace(manifest, parity=parity))
                report(f"{failed}{precision} ranks as the original: {describe(parity)}")
                return
            failed += f"{precision} drifts too far from the original: {describe(parity)}; "
        raise ValueError(f"{failed}{_advice(model)}")


def _advice(model: Model) -> str:
    if model.precision == "int8":
        return "write precision: auto, or bf16"
    return "write backend: sentence-transformers for this model"


def main() -> None:
    """Read the order, prepare, and answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")

    def answer(kind: str, text: str) -> None:
        print(json.dumps({kind: text}), file=answers)

    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where the libraries draw their bars
            prepare(
                Model(**order["model"]),
                Path(order["source"]),
                order["key"],
                Path(order["cache"]) if order["cache"] else None,
                lambda step: answer("step", step),
            )
    except ImportError as error:
        answer(
            "refused",
            f"{error}; preparing a model needs it: run `pip install rescore-sidecar` again, or "
            "prepare the model elsewhere (`sidecar models prepare`) and copy the cache folder",
        )
    except (OSError, RuntimeError, ValueError) as error:
        answer("refused", str(error) or type(error).__name__)
    else:
        answer("prepared", order["key"])


def _end_with_the_parent() -> None:
    """Whoever ordered it keeps standard input open until it has the answer, or is gone."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
