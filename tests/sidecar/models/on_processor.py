"""The gate of prepared models on a processor with fewer instructions; a process of its own.

`prepare WEIGHTS CACHE` prepares a cross-encoder in every precision. `judge CACHE FLOATS` loads each
as if those floats were the quick ones and prints a line of JSON: the precision, its figures, and
why it is refused, if it is. `load FOLDER FLOATS` loads a prepared folder and prints its verdict, or
why it is refused. oneDNN reads ONEDNN_MAX_CPU_ISA once, so that each instruction set
needs a process.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import asdict
from pathlib import Path

from sidecar.config.main_file import Model
from sidecar.models.backends import processor
from sidecar.models.prepared import Parity, read_manifest
from sidecar.models.prepared_backends import load_prepared
from sidecar.models.verdicts import find_verdict, judge, load_judged, read_scores
from sidecar.models.ways import list_ways

PRECISIONS = ("int8", "bf16", "f32")


def prepare_all(weights: str, cache: str) -> None:
    from sidecar.models.preparing.worker import prepare

    for precision in PRECISIONS:
        model = Model(kind="cross-encoder", source=weights, precision=precision)
        prepare(model, Path(weights), precision, Path(cache), print, {}, print)


def judge_all(cache: str, floats: str) -> None:
    processor.fast_float = lambda: floats
    for precision in PRECISIONS:
        folder = Path(cache) / "prepared" / precision
        manifest = read_manifest(folder)
        [way] = list_ways(precision, manifest.forms)
        load = functools.partial(load_prepared, folder, manifest, "k", way, 1)
        _, judged = judge(read_scores(folder), manifest.kind, way, load)
        passed = isinstance(judged, Parity)
        figures = asdict(judged) if isinstance(judged, Parity) else None
        line = {"precision": precision, "parity": figures, "refused": None if passed else judged}
        print(json.dumps(line), flush=True)


def load_one(folder: str, floats: str) -> None:
    processor.fast_float = lambda: floats
    place = Path(folder)
    try:
        load_judged(place, read_manifest(place), place.name, 1, lambda step: None)
    except ValueError as error:
        print(json.dumps({"refused": str(error)}))
        return
    verdict = find_verdict(place)
    assert verdict is not None
    print(json.dumps(asdict(verdict)))


if __name__ == "__main__":
    {"prepare": prepare_all, "judge": judge_all, "load": load_one}[sys.argv[1]](*sys.argv[2:])
