"""(a) A model alone: the prepared model beside sentence-transformers, FlashRank, ONNX Runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Bar, Part, Spread, Table, spread
from benchmarks.texts import passages, query_texts
from benchmarks.weights import (
    FLASHRANK,
    FLASHRANK_MODEL,
    bi_encoder_folder,
    cross_encoder_folder,
    flashrank_python,
    work_folder,
)
from sidecar.models.preparing.parity import compare

ROOT = Path(__file__).resolve().parents[1]
CASES = ((25, 1), (25, 3), (100, 1))
_AGREEMENT_QUERIES = {"bi-encoder": 12, "cross-encoder": 4}
_DEFAULTS = {"bi-encoder": "encode", "cross-encoder": "CrossEncoder.predict"}
_HOW = (
    "all-MiniLM-L6-v2 as a bi-encoder, and a cross-encoder on the same body (its head is random:"
    " speed and agreement are real, its ranking means nothing). A query text and the passages of"
    " 25 documents (one and three each) and of 100, from texts to scores, nothing known before."
    " Each engine is a process of its own with its default threads, and they take turns."
    " sentence-transformers runs with all defaults; FlashRank's code runs the same cross-encoder,"
    " its weights in one byte as in the models of this size that it publishes."
)

_COLD_LIMIT = (
    "The arithmetic. A processor with VNNI, but without AMX, multiplies one byte four times as fast"
    " as 32-bit floats at the most, and attention, softmax and what goes element by element gain"
    " less. Forms of the graph that were tried: docs/models.md."
)
_LIMITS = {
    "bi-encoder": _COLD_LIMIT,
    "cross-encoder": (
        f"{_COLD_LIMIT} The form `int8-fixed`, which makes the bi-encoder faster, fails the gate"
        " for this cross-encoder, since the scores of its random head are so close together."
    ),
}


@dataclass(frozen=True, slots=True)
class Engine:
    """One process that scores."""

    kind: str
    name: str
    process: subprocess.Popen[str]

    def score(self, queries: list[str], texts: list[str]) -> tuple[float, Any]:
        """Seconds, and the scores, shape (queries, texts)."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"queries": queries, "texts": texts}) + "\n")
        self.process.stdin.flush()
        answer = self._read()
        return answer["seconds"], np.array(answer["scores"], np.float32)

    def wait(self) -> None:
        """Until the model is loaded."""
        self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.kind} {self.name} ended early")
        return json.loads(line)


@contextmanager
def engine(kind: str, name: str, command: Sequence[str | Path]) -> Iterator[Engine]:
    with subprocess.Popen(  # noqa: S603 - a program of this folder
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the libraries' own progress bars
        text=True,
    ) as process:
        try:
            yield Engine(kind, name, process)
        finally:
            process.terminate()


def measure(quick: bool, step: Callable[[str], None]) -> Part:
    """Seconds of every engine in every case, and how near the prepared models rank."""
    step("making the weights")
    _in_a_process_of_its_own()
    missing = ""
    with ExitStack() as stack:
        engines: list[Engine] = []

        def start(kind: str, name: str, command: Sequence[str | Path]) -> None:
            step(f"starting {kind} {name}")
            engines.append(stack.enter_context(engine(kind, name, command)))
            engines[-1].wait()

        for kind, folder in (
            ("bi-encoder", bi_encoder_folder()),
            ("cross-encoder", cross_encoder_folder()),
        ):
            for name in ("sentence-transformers", "onnx", "openvino"):
                module = "benchmarks.engines.product"
                start(kind, name, [sys.executable, "-m", module, kind, name, folder])
        try:
            step("installing FlashRank")
            peer = flashrank_python()
            script = ROOT / "benchmarks" / "engines" / "peer_flashrank.py"
            _in_a_process_of_its_own("--flashrank")
            models = work_folder() / "flashrank-models"
            start("cross-encoder", "FlashRank", [peer, script, models, FLASHRANK_MODEL])
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            missing = f"FlashRank ({FLASHRANK}) could not be installed or started: {error}"
        rounds, cases = (1, CASES[1:2]) if quick else (4, CASES)
        seconds = _alternate(engines, rounds, cases, step)
        agreements = [] if quick else _agreements(engines, step)
    return Part(
        name="models",
        title="A model alone",
        how=_HOW,
        tables=(*_tables(engines, seconds), *_agreement_table(agreements)),
        bars=(*_bars(seconds, missing), *_agreement_bars(agreements)),
        missing=missing,
    )


def _in_a_process_of_its_own(*arguments: str) -> None:
    subprocess.run(  # noqa: S603 - a module of this package
        [sys.executable, "-m", "benchmarks.weights", *arguments],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


Seconds = dict[tuple[str, str, tuple[int, int]], list[float]]


def _alternate(
    engines: list[Engine],
    rounds: int,
    cases: Sequence[tuple[int, int]],
    step: Callable[[str], None],
) -> Seconds:
    """Every engine in every case, one after the other, round by round."""
    queries = query_texts()
    for one in engines:
        one.score(queries[:1], passages(2, 1, skip=500))
    seconds: Seconds = {}
    for round_ in range(rounds):
        for case in cases:
            texts = passages(*case, skip=100 * round_)
            for one in engines:
                step(f"round {round_ + 1} of {rounds}: {case[0]} x {case[1]}, {one.name}")
                took, _ = one.score([queries[round_]], texts)
                seconds.setdefault((one.kind, one.name, case), []).append(took)
    return seconds


def _agreements(
    engines: list[Engine], step: Callable[[str], None]
) -> list[tuple[Engine, Spread, float]]:
    """Spearman's correlation of the orders of 75 passages, one figure per query."""
    texts = passages(25, 3, skip=40)
    found = []
    for kind, queries in _AGREEMENT_QUERIES.items():
        asked = query_texts()[:queries]
        ours = [one for one in engines if one.kind == kind]
        step(f"ranking {len(texts)} passages for {queries} queries, {kind}")
        original = next(one for one in ours if one.name == "sentence-transformers")
        _, expected = original.score(asked, texts)
        for one in ours:
            if one is not original:
                _, scores = one.score(asked, texts)
                each = [
                    compare(expected[row : row + 1], scores[row : row + 1])
                    for row in range(queries)
                ]
                figure = spread((parity.spearman_mean for parity in each), digits=4)
                mean = float(np.mean([parity.spearman_mean for parity in each]))
                top = float(np.mean([parity.top_10 for parity in each]))
                found.append((one, Spread(mean, figure.lowest, figure.highest, digits=4), top))
    return found


def _tables(engines: list[Engine], seconds: Seconds) -> Iterator[Table]:
    cases = list(dict.fromkeys(case for _, _, case in seconds))
    for kind in ("bi-encoder", "cross-encoder"):
        rows: list[tuple[str | Spread, ...]] = []
        for one in engines:
            if one.kind != kind:
                continue
            name = {
                "openvino": "sidecar, openvino (prepared)",
                "onnx": "sidecar, onnx (ONNX Runtime, f32)",
                "sentence-transformers": f"sentence-transformers, {_DEFAULTS[kind]}",
                "FlashRank": f"{FLASHRANK.replace('==', ' ')}, int8",
            }[one.name]
            cells = []
            for case in cases:
                mine = seconds[kind, one.name, case]
                base = seconds[kind, "sentence-transformers", case]
                cells += [
                    spread((value * 1000 for value in mine), digits=0),
                    spread((b / m for b, m in zip(base, mine, strict=True)), "x"),
                ]
            rows.append((name, *cells))
        yield Table(
            f"{kind.capitalize()}: milliseconds, and how many times as fast as the defaults",
            ("", *(f"{d} x {p}{what}" for d, p in cases for what in (", ms", ", times"))),
            tuple(rows),
        )


def _bars(seconds: Seconds, missing: str) -> Iterator[Bar]:
    case = (25, 3)

    def times(kind: str, other: str) -> Spread:
        pairs = zip(seconds[kind, other, case], seconds[kind, "openvino", case], strict=True)
        return spread((theirs / ours for theirs, ours in pairs), "x")

    for kind, call in _DEFAULTS.items():
        yield Bar(
            f"cold, 25 x 3 passages, {kind}, against sentence-transformers `{call}`",
            times(kind, "sentence-transformers"),
            "least",
            4,
            6,
            _LIMITS[kind],
        )
    if not missing:
        yield Bar(
            "cross-encoder of the same size, 25 x 3, against FlashRank's code",
            times("cross-encoder", "FlashRank"),
            "least",
            2,
            3,
        )


def _agreement_table(agreements: list[tuple[Engine, Spread, float]]) -> Iterator[Table]:
    if agreements:
        yield Table(
            "Agreement with the original on 75 passages a query",
            ("", "Spearman: mean (worst-best query)", "ten best kept"),
            tuple(
                (f"{one.kind}, {one.name}", figure, f"{top:.0%}") for one, figure, top in agreements
            ),
            "The cross-encoder's random head spreads its scores over a tiny range, which makes"
            " this the hardest case for rounding.",
        )


def _agreement_bars(agreements: list[tuple[Engine, Spread, float]]) -> Iterator[Bar]:
    for one, figure, _ in agreements:
        if one.name == "openvino":
            yield Bar(
                f"{one.kind}, prepared: Spearman with the original, 75 passages a query",
                figure,
                "least",
                0.995,
                0.998,
            )
