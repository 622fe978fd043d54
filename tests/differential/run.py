"""One fuzzing run: many requests of a seed, judged one by one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from tests.differential.case import Case
from tests.differential.extended import extend_case
from tests.differential.judge import Judge, Verdict
from tests.differential.requests import make_case

_THREADS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A request whose two answers differ."""

    number: int
    case: Case
    verdict: Verdict


@dataclass(slots=True)
class Report:
    """What a run has seen. `statuses` are those of the direct answers."""

    count: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    differences: list[Found] = field(default_factory=list)
    unsteady: list[Found] = field(default_factory=list)


def run(
    judge: Judge, seed: int, numbers: Iterable[int], advance: Callable[[], object] = lambda: None
) -> Report:
    """Judge these requests of a seed; `advance` is called after each."""
    report = Report()
    began = time.monotonic()

    def work(number: int) -> Found:
        case = make_case(seed, number)
        if judge.setting == "extended":
            case = extend_case(case, Random(f"{seed}:{number}:extended"))
        return Found(number, case, judge.judge(case))

    with ThreadPoolExecutor(_THREADS) as threads:
        for found in threads.map(work, numbers):
            report.count += 1
            report.outcomes[found.verdict.outcome] += 1
            report.statuses[found.verdict.status] += 1
            if found.verdict.difference is not None:
                kept = report.differences if found.verdict.steady else report.unsteady
                kept.append(found)
            advance()
    report.seconds = time.monotonic() - began
    return report
