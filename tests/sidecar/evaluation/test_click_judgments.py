"""Judgments from the clicks of simulated users who look at high ranks more often."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sidecar.evaluation.click_judgments import LEAST_PAGES, TooFewClicks, judge_clicks
from sidecar.evaluation.impressions import Impression

DOCUMENTS = tuple("abcdefgh")
# The best documents are at the end, where few users look.
RELEVANCE = {document: 0.1 + 0.1 * place for place, document in enumerate(DOCUMENTS)}


def simulate(pages: int, bias: float, swaps: bool, seed: int = 5) -> Iterator[Impression]:
    draw = random.Random(seed)
    for number in range(pages):
        shown = list(DOCUMENTS)
        if swaps:
            place = draw.randrange(len(shown))
            shown[0], shown[place] = shown[place], shown[0]
        clicked = {
            place
            for place, document in enumerate(shown)
            if draw.random() < RELEVANCE[document] / (place + 1) ** bias
        }
        yield Impression(f"q{number % 5}", tuple(shown), frozenset(clicked))


@pytest.mark.parametrize("bias", [0.0, 0.7, 1.5])
def test_the_bias_of_the_users_is_found(bias: float) -> None:
    found = judge_clicks(simulate(6000, bias, swaps=True))
    assert found.error is not None
    assert found.bias == pytest.approx(bias, abs=4 * found.error)
    assert found.error < 0.1
    assert "estimated" in found.remark


def test_relevance_is_found_against_the_order_of_clicks() -> None:
    pages = list(simulate(8000, 1.5, swaps=False))
    clicks = [sum(place in page.clicked for page in pages) for place in range(len(DOCUMENTS))]
    assert clicks[0] > clicks[-1]
    found = judge_clicks(pages, bias=1.5)
    for grades in found.grades.values():
        assert [grades[one] for one in "ah"] == pytest.approx([0.1, 0.8], abs=0.2)
    mean = {one: sum(g[one] for g in found.grades.values()) / 5 for one in DOCUMENTS}
    assert mean == pytest.approx(RELEVANCE, abs=0.06)


def test_an_order_that_never_changes_says_nothing_of_the_bias() -> None:
    with pytest.raises(TooFewClicks, match="give it with --propensity"):
        judge_clicks(simulate(2000, 1, swaps=False))


def test_rare_queries_and_those_without_clicks_are_left_out() -> None:
    page = Impression("rare", ("a", "b"), frozenset({0}))
    unloved = [Impression("unloved", ("a", "b"), frozenset())] * 50
    with pytest.raises(TooFewClicks, match=f"shown at least {LEAST_PAGES} times"):
        judge_clicks([page] * (LEAST_PAGES - 1) + unloved, bias=1)
    assert set(judge_clicks([page] * LEAST_PAGES + unloved, bias=1).grades) == {"rare"}
