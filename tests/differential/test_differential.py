"""A fixed run of the fuzzing, and every request that ever failed, on both real nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.corpus import Corpus, drop_corpus, load_corpus
from tests.differential.failures import REGRESSIONS, Failure, read_failures
from tests.differential.judge import Judge, running_judge
from tests.differential.run import run
from tests.differential.settings import SETTINGS
from tests.nodes.node import Node

SEED = 1
COUNT = 600
"""Requests for each node and setting: about a minute in all on two cores."""

COUNT_EXTENDED = 250
"""The same for `extended`, which sends most searches twice."""

LEAST_RESCORED = 0.15
"""Share of the requests that are rescored: with few of them the run would prove little."""


@pytest.fixture(scope="module")
def corpus(opensearch: Node) -> Iterator[Corpus]:
    yield load_corpus(opensearch.host, opensearch.port)
    drop_corpus(opensearch.host, opensearch.port)


@pytest.fixture(scope="module", params=SETTINGS)
def judge(
    opensearch: Node,
    corpus: Corpus,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Judge]:
    folder = tmp_path_factory.mktemp(request.param)
    with running_judge(folder, opensearch, corpus, request.param) as made:
        yield made


@pytest.mark.timeout(600)
def test_answers_are_the_same_direct_and_through_the_proxy(judge: Judge) -> None:
    count = COUNT_EXTENDED if judge.setting == "extended" else COUNT
    report = run(judge, SEED, range(count))
    differences = {
        f"--seed {SEED} --first {found.number} --count 1": (found.case, found.verdict.difference)
        for found in report.differences
    }
    assert differences == {}
    assert len(report.unsteady) < count / 100, report.unsteady
    rescored = [number for label, number in report.outcomes.items() if label.startswith("applied")]
    if judge.setting != "none":
        assert sum(rescored) > count * LEAST_RESCORED
    if judge.setting == "extended":
        assert report.outcomes["applied (ext.rescore, explained)"] > 0


@pytest.mark.parametrize(
    "failure", [pytest.param(failure, id=name) for name, failure in read_failures(REGRESSIONS)]
)
def test_what_failed_once_does_not_fail_again(judge: Judge, failure: Failure) -> None:
    verdict = judge.judge(failure.case)
    assert verdict.difference is None or not verdict.steady, failure.note
