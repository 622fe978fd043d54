"""Decides how a prepared model is computed on this processor, and loads it.

A way of computing is used only if the model ranks like the original with it; of several, the
fastest is used. A prepared folder may be copied to a machine whose processor has another
arithmetic: bf16 in place of f32, or bytes in place of floats. There the decision is made again. The
folder contains the original's scores of the bundled passages, so this needs no published weights.
The verdict is written beside the graphs, as a small file for each kind of arithmetic. If the folder
is read-only, it is written to the cache folder.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from sidecar.models.backends import processor
from sidecar.models.backends.base import FloatArray
from sidecar.models.prepared import Manifest, Parity, default_cache
from sidecar.models.prepared_backends import GraphBackend, load_prepared
from sidecar.models.preparing.parity import (
    LONGEST,
    bundled_texts,
    compare,
    describe,
    passes,
    read_longest,
    score_all,
)
from sidecar.models.ways import Way, choose_way, last_resort, list_ways, measure_ways

_SCORES = "original.npy"
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a prepared model is computed on processors with this arithmetic."""

    arithmetic: str
    way: Way
    parity: Parity
    """How closely it ranks when it is computed in that way."""

    milliseconds: Mapping[str, float]
    """Processor time of one long passage, by the precision of each way that was compared; empty if
    only one way passed the gate."""

    refused: tuple[str, ...]
    """Why each other way is not used."""

    def describe_times(self) -> str:
        """The measured times in one line, the chosen one first; empty if there are none."""
        chosen = self.way.precision
        others = [
            f"{name} {value:.1f}" for name, value in self.milliseconds.items() if name != chosen
        ]
        if not others:
            return ""
        return (
            f"{chosen} {self.milliseconds[chosen]:.1f} ms of processor time a passage"
            f" ({', '.join(others)})"
        )


class NoWayError(ValueError):
    """No way of computing a model ranks like the original."""

    def __init__(self, refused: list[str]) -> None:
        super().__init__("; ".join(refused))


def find_verdict(folder: Path, cache: Path | None = None) -> Verdict | None:
    """The verdict for this processor; None if none was made on such a processor.

    `cache`: where verdicts of read-only folders are; None means the default cache.
    """
    here = processor.arithmetic()
    for path in (_verdict_file(folder, here), _elsewhere(folder, here, cache)):
        if verdict := _read_verdict(path, here):
            return verdict
    return None


def load_judged(
    folder: Path,
    manifest: Manifest,
    key: str,
    threads: int | None,
    report: Callable[[str], None],
    cache: Path | None = None,
) -> GraphBackend:
    """Load a prepared model, computed as its verdict for this processor says.

    If there is no verdict, one is made: this takes seconds. `report` gets each step. Raises
    ValueError, with what to do, if no way passes the gate, and the errors of `load_prepared`.
    """
    verdict = find_verdict(folder, cache)
    if verdict is None:
        report("its gate has run on another kind of processor; it runs once on this one")
        try:
            verdict, _ = decide(folder, manifest, key, threads)
        except NoWayError as error:
            raise ValueError(
                f"on this processor, {error}; delete {folder} and run `sidecar models prepare`"
                " here, or write backend: sentence-transformers for this model"
            ) from None
        verdict = write_verdict(folder, verdict, cache)
        report(describe_verdict(verdict))
    return load_prepared(folder, manifest, key, verdict.way, threads)


def decide(
    folder: Path,
    manifest: Manifest,
    key: str,
    threads: int | None,
    crashed: Mapping[str, str] | None = None,
    trying: Callable[[str], None] = lambda precision: None,
    refused: tuple[str, ...] = (),
) -> tuple[Verdict, list[Way]]:
    """Find the ways that pass the gate here, and choose the fastest of them.

    Returns the verdict and all ways that pass.

    `crashed`: precisions that are not tried, and why; `trying` gets each of the others before it is
    tried. `refused`: reasons that are known already. Raises NoWayError if no way passes.
    """
    crashed = crashed or {}
    original = read_scores(folder)
    reasons = list(refused)
    passed: dict[Way, tuple[GraphBackend, Parity]] = {}

    def judge_way(way: Way) -> None:
        if way.precision in crashed:
            reasons.append(f"{way.precision} {crashed[way.precision]}")
            return
        trying(way.precision)
        load = functools.partial(load_prepared, folder, manifest, key, way, threads, warm=False)
        backend, judged = judge(original, manifest.kind, way, load)
        if backend is not None and isinstance(judged, Parity):
            passed[way] = backend, judged
        else:
            reasons.append(str(judged))

    for way in list_ways(manifest.precision, manifest.forms):
        judge_way(way)
    exact = last_resort(manifest.precision, manifest.forms)
    if not passed and exact is not None:
        judge_way(exact)
    if not passed:
        raise NoWayError(reasons)
    seconds: dict[Way, float] = {}
    if len(passed) > 1:
        seconds = measure_ways({way: read_longest(backend) for way, (backend, _) in passed.items()})
        closeness = {way: parity.spearman_mean for way, (_, parity) in passed.items()}
        chosen = choose_way(seconds, closeness)
    else:
        [chosen] = passed
    times = {way.precision: round(value * 1000 / LONGEST, 2) for way, value in seconds.items()}
    verdict = Verdict(processor.arithmetic(), chosen, passed[chosen][1], times, tuple(reasons))
    return verdict, list(passed)


def describe_verdict(verdict: Verdict) -> str:
    """The verdict in one line."""
    comma = "," if verdict.way.computed_in != verdict.way.precision else ""
    passed = f"{verdict.way}{comma} ranks as the original: {describe(verdict.parity)}"
    return "; ".join([*verdict.refused, passed, *filter(None, [verdict.describe_times()])])


def judge(
    original: FloatArray, kind: str, way: Way, load: Callable[[], GraphBackend]
) -> tuple[GraphBackend, Parity] | tuple[None, str]:
    """Load a model and compare its scores of the bundled passages with the original's.

    Returns the model and its figures if it passes the gate, else None and the reason.
    """
    try:
        backend = load()
        scores = score_all(backend, *bundled_texts(kind))
    except (RuntimeError, ValueError) as error:
        return None, f"{way} cannot be computed here: {_one_line(error)}"
    if not np.isfinite(scores).all():
        return None, f"{way} gives scores that are not finite"
    parity = compare(original, scores)
    if passes(parity, way.precision):
        return backend, parity
    return None, f"{way} drifts too far from the original: {describe(parity)}"


def write_scores(folder: Path, original: FloatArray) -> None:
    """Write the original's scores of the bundled passages to a prepared folder."""
    np.save(folder / _SCORES, original)


def read_scores(folder: Path) -> FloatArray:
    """Read the original's scores; raises ValueError, with what to do, if they are damaged."""
    try:
        scores: FloatArray = np.load(folder / _SCORES, allow_pickle=False)
    except (OSError, EOFError, ValueError):
        raise ValueError(f"{folder} is damaged; delete it and prepare the model again") from None
    return scores


def write_verdict(folder: Path, verdict: Verdict, cache: Path | None = None) -> Verdict:
    """Write a verdict; returns the one in effect, another process's if that was faster.

    All processes must compute alike, because they share vectors. If neither the folder nor the
    cache can be written, each start decides anew.
    """
    here = verdict.arithmetic
    for path in (_verdict_file(folder, here), _elsewhere(folder, here, cache)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_once(path, json.dumps(asdict(verdict), indent=1) + "\n", here)
        except OSError:
            continue
        return _read_verdict(path, here) or verdict
    return verdict


def _write_once(path: Path, text: str, arithmetic: str) -> None:
    """Write the whole file or none; a file with a whole verdict stays."""
    descriptor, name = tempfile.mkstemp(prefix=".verdict-", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.chmod(0o644)  # mkstemp allows only the owner
        with suppress(FileExistsError):
            path.hardlink_to(unfinished)
            return
        if _read_verdict(path, arithmetic) is None:
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read_verdict(path: Path, arithmetic: str) -> Verdict | None:
    """The verdict in a file; None if there is none for that arithmetic or it is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        verdict = Verdict(
            arithmetic=values["arithmetic"],
            way=Way(**values["way"]),
            parity=Parity(**values["parity"]),
            milliseconds={str(name): float(ms) for name, ms in values["milliseconds"].items()},
            refused=tuple(values["refused"]),
        )
    except (AttributeError, OSError, KeyError, TypeError, ValueError):
        return None
    return verdict if verdict.arithmetic == arithmetic else None


def _verdict_file(folder: Path, arithmetic: str) -> Path:
    return folder / f"verdict-{_digest(arithmetic)}.json"


def _elsewhere(folder: Path, arithmetic: str, cache: Path | None) -> Path:
    """Where the verdict of a read-only folder is written."""
    root = (cache or default_cache()) / "verdicts"
    return root / f"{folder.name}-{_digest(arithmetic)}.json"


def _digest(arithmetic: str) -> str:
    return blake2b(arithmetic.encode(), digest_size=8).hexdigest()


def _one_line(error: Exception) -> str:
    reason = " ".join((str(error) or type(error).__name__).split())[:_LONGEST_REASON]
    limit = os.environ.get(processor.LIMIT)
    if not limit:
        return reason
    return (
        f"{reason} ({processor.LIMIT}={limit} is set, which only a part of OpenVINO follows; unset"
        " it)"
    )
