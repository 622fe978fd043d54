"""A fixed run of hostile amounts against the sidecar as it is shipped; and that the tool judges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.amounts.process import Served, drop_documents, load_documents, serving
from tests.amounts.run import KINDS, STALL_S, make_attack, run
from tests.nodes.node import Node
from tests.weights import minilm_settings

SEED = 1
COUNT = 120


@pytest.fixture(scope="module")
def running(opensearch_3: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    minilm_settings()  # leaves the test out where the weights are not installed
    load_documents(opensearch_3)
    with serving(tmp_path_factory.mktemp("amounts"), opensearch_3) as sidecar:
        yield sidecar
    drop_documents(opensearch_3)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_no_amount_passes_a_bound(running: Served) -> None:
    report = run(running, SEED, range(COUNT))
    assert report.faults == []
    assert {
        f"--seed {SEED} --first {figures.number} --count 1": (figures.kind, figures.faults)
        for figures in report.figures
        if figures.faults
    } == {}
    # The attacks came through to where they hurt, or the run would prove nothing.
    outcomes = {figures.outcome for figures in report.figures}
    assert {"200", "400", "half"} <= outcomes
    assert max(figures.loop_s for figures in report.figures) > STALL_S / 20


def test_a_seed_and_a_number_make_the_same_attack() -> None:
    for number in range(len(KINDS)):
        assert make_attack(7, number) == make_attack(7, number)
    assert {make_attack(7, number)[0] for number in range(len(KINDS))} == set(KINDS)
