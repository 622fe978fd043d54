"""Prepares one model, in a process of its own: `python -m sidecar.models.preparing.worker`.

Preparing needs much memory, and torch, where it is needed, writes to the terminal and changes
settings of the whole process; all of that ends with the process. One line of JSON on standard input
says what to prepare. Lines on standard output report `step`, `trying` (a precision) and at the end
`prepared` or `refused`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from sidecar.config.main_file import Model
from sidecar.models.missing_library import missing_library
from sidecar.models.prepared import Manifest, new_prepared, write_manifest
from sidecar.models.preparing.errors import CannotPrepare
from sidecar.models.preparing.fixed_scales import FIXED, write_fixed_scales
from sidecar.models.preparing.original import Original, open_original
from sidecar.models.preparing.parity import bundled_texts
from sidecar.models.verdicts import (
    NoWayError,
    decide,
    describe_verdict,
    write_scores,
    write_verdict,
)

# Which is fastest depends on the processor, and a folder may be copied to another. `int8-fixed`,
# which is made from f32, follows them.
_AUTO = ("int8", "f32")


def prepare(
    model: Model,
    source: Path,
    key: str,
    cache: Path | None,
    report: Callable[[str], None],
    crashed: Mapping[str, str],
    trying: Callable[[str], None],
) -> None:
    """Fill the prepared folder of that key. `source`: the folder of the weights.

    `crashed`: precisions that ended an earlier process on this machine, and how; they are not
    tried. `trying` gets each precision before it is tried.

    Raises ValueError if the model cannot be prepared or does not pass the gate, ImportError if
    a library is missing, and the errors of reading the weights.
    """
    report("reading the weights")
    original = open_original(model, source)
    texts = bundled_texts(model.kind)
    report("ranking sample passages with the original")
    expected = original.scores(*texts)
    with new_prepared(key, cache) as folder:
        original.save_tokenizer(folder / "tokenizer.json")
        write_scores(folder, expected)
        forms, refused = _write_forms(model, original, folder, report, crashed, trying)
        manifest = _manifest(model, original, forms)
        if model.precision == "auto" and model.backend == "openvino" and "f32" in forms:
            reason = _write_fixed(folder, manifest, report, crashed, trying)
            if reason:
                refused = (*refused, reason)
            else:
                forms = (*forms, FIXED)
                manifest = dataclasses.replace(manifest, forms=forms)
        report(f"ranking the same passages in {' and '.join(forms)}")
        try:
            if not forms:
                raise NoWayError(list(refused))
            verdict, passed = decide(
                folder,
                manifest,
                key,
                model.threads,
                crashed,
                trying,
                refused,
            )
        except NoWayError as error:
            raise ValueError(f"{error}; {_advice(model)}") from None
        useful = tuple(form for form in forms if any(way.form == form for way in passed))
        for form in set(forms) - set(useful):
            for path in folder.glob(f"graph-{form}.*"):
                path.unlink()
        write_verdict(folder, verdict)
        write_manifest(folder, dataclasses.replace(manifest, forms=useful))
        report(describe_verdict(verdict))


def _write_forms(
    model: Model,
    original: Original,
    folder: Path,
    report: Callable[[str], None],
    crashed: Mapping[str, str],
    trying: Callable[[str], None],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write a graph for each form of the weights; returns the forms, and why others are missing."""
    if model.backend == "onnx":
        trying("f32")
        report("converting to f32")
        original.write_onnx(folder)
        return ("f32",), ()
    forms: list[str] = []
    refused: list[str] = []
    for form in _AUTO if model.precision == "auto" else (model.precision,):
        if form in crashed:
            refused.append(f"{form} {crashed[form]}")
            continue
        trying(form)
        report(f"converting to {form}")
        try:
            original.write_openvino(form, folder)
        except CannotPrepare:
            raise
        except (RuntimeError, ValueError) as error:
            refused.append(f"{form} cannot be made: {error}")
            continue
        forms.append(form)
    return tuple(forms), tuple(refused)


def _write_fixed(
    folder: Path,
    manifest: Manifest,
    report: Callable[[str], None],
    crashed: Mapping[str, str],
    trying: Callable[[str], None],
) -> str:
    """Write the graph with fixed scales; returns why it is missing, or nothing."""
    if FIXED in crashed:
        return f"{FIXED} {crashed[FIXED]}"
    trying(FIXED)
    report(f"converting to {FIXED}")
    try:
        write_fixed_scales(folder, manifest)
    except (RuntimeError, ValueError) as error:
        return f"{FIXED} cannot be made: {error}"
    return ""


def _manifest(model: Model, original: Original, forms: tuple[str, ...]) -> Manifest:
    return Manifest(
        kind=model.kind,
        backend=model.backend,
        precision=model.precision,
        forms=forms,
        max_tokens=original.max_tokens,
        dimensions=original.dimensions,
        pad_id=original.pad_id,
        reads_types=original.reads_types,
        query_prompt=original.query_prompt,
        passage_prompt=original.passage_prompt,
    )


def _advice(model: Model) -> str:
    if model.backend == "openvino" and model.precision in ("int8", "bf16"):
        return "write precision: auto, or f32"
    return "write backend: sentence-transformers for this model"


def main() -> None:
    """Read the order, prepare, and answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")

    def answer(kind: str, text: str) -> None:
        print(json.dumps({kind: text}), file=answers)

    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # libraries draw progress bars
            prepare(
                Model(**order["model"]),
                Path(order["source"]),
                order["key"],
                Path(order["cache"]) if order["cache"] else None,
                lambda step: answer("step", step),
                order["crashed"],
                lambda precision: answer("trying", precision),
            )
    except ImportError as error:
        answer(
            "refused",
            f"{missing_library(error)}, or prepare the model elsewhere (`sidecar models prepare`) "
            "and copy the cache folder",
        )
    except (OSError, RuntimeError, ValueError) as error:
        answer("refused", str(error) or type(error).__name__)
    else:
        answer("prepared", order["key"])


def _end_with_the_parent() -> None:
    """End when standard input closes: the parent keeps it open until it has the answer."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
