"""Team draft: every hit once, turns as the algorithm says, and unbiased credit in a simulation."""

import random
from collections.abc import Callable, Sequence
from math import comb, sqrt
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.adoption.interleaving import Draft, draft_teams, draw_seed


@given(
    st.integers(0, 40).flatmap(lambda n: st.tuples(*[st.permutations(range(n))] * 2)), st.binary()
)
def test_a_draft_has_every_hit_once_and_each_team_chooses_its_best(
    orders: tuple[list[int], list[int]], seed: bytes
) -> None:
    order_a, order_b = orders
    draft = draft_teams(order_a, order_b, seed)
    assert sorted(draft.order) == sorted(order_a)
    assert draft == draft_teams(order_a, order_b, seed)
    for place, (position, team) in enumerate(zip(draft.order, draft.teams, strict=True)):
        before = draft.order[:place]
        own = order_a if team == "a" else order_b
        assert position == next(one for one in own if one not in before)
        teams = draft.teams[: place + 1]
        assert abs(teams.count("a") - teams.count("b")) <= 1


Drafting = Callable[[Sequence[int], Sequence[int], bytes], Draft]


def clicks_by_team(
    rng: random.Random,
    order_a: list[int],
    order_b: list[int],
    relevant: set[int],
    draft: Drafting,
    search: bytes,
) -> tuple[int, int]:
    """Clicks of a reader who looks at fewer hits further down, and clicks what is relevant."""
    mixed = draft(order_a, order_b, draw_seed([b"caller", search]))
    clicks = [0, 0]
    for place, (position, team) in enumerate(zip(mixed.order, mixed.teams, strict=True)):
        looks = rng.random() < 1 / (place + 1)
        if looks and rng.random() < (0.8 if position in relevant else 0.1):
            clicks[team == "b"] += 1
    return clicks[0], clicks[1]


def simulate(
    seed: int, searches: int, better_b: bool = False, draft: Drafting = draft_teams
) -> tuple[float, float]:
    """The wins of `b` above those of `a` for each search, and their standard error."""
    rng = random.Random(seed)
    differences = []
    for number in range(searches):
        positions = list(range(10))
        relevant = set(rng.sample(positions, 3))
        order_a, order_b = rng.sample(positions, 10), rng.sample(positions, 10)
        if better_b:
            order_b.sort(key=lambda one: one not in relevant)
        a, b = clicks_by_team(rng, order_a, order_b, relevant, draft, b"%d %d" % (seed, number))
        differences.append((b > a) - (a > b))
    return fmean(differences), stdev(differences) / sqrt(searches)


def draft_without_coins(order_a: Sequence[int], order_b: Sequence[int], seed: bytes) -> Draft:
    """A draft in which team `a` always chooses first."""
    teams: dict[int, str] = {}
    for _ in order_a:
        for team, own in (("a", order_a), ("b", order_b)):
            free = [one for one in own if one not in teams]
            if free:
                teams[free[0]] = team
    return Draft(tuple(teams), "".join(teams.values()))


def at_most(count: int, trials: int, probability: float) -> float:
    """The probability of at most this many successes; exact."""
    return sum(
        comb(trials, one) * probability**one * (1 - probability) ** (trials - one)
        for one in range(count + 1)
    )


def covered(seeds: range, draft: Drafting = draft_teams) -> int:
    """How many intervals of 95 % contain 0, each of 500 searches with equally good orders."""
    results = [simulate(seed, 500, draft=draft) for seed in seeds]
    return sum(abs(mean) <= 1.96 * error for mean, error in results)


def test_credit_is_unbiased_for_equal_orders() -> None:
    # Nobody has chosen the seeds, and the bound is the binomial distribution's: an unbiased draft
    # has fewer such intervals with a probability below one in a million.
    seeds = range(40)
    least = next(count for count in range(41) if at_most(count, 40, 0.95) >= 1e-6)
    assert least == 29
    assert covered(seeds) >= least


def test_the_same_bound_finds_a_biased_draft() -> None:
    assert at_most(covered(range(20), draft_without_coins), 20, 0.95) < 1e-6


def test_credit_finds_the_better_order() -> None:
    mean, error = simulate(seed=0, searches=2000, better_b=True)
    assert mean > 10 * error


@pytest.mark.parametrize("place", range(6))
def test_each_team_gets_each_place_half_of_the_time(place: int) -> None:
    order_a, order_b = list(range(6)), [5, 4, 3, 2, 1, 0]
    drafts = [draft_teams(order_a, order_b, draw_seed([b"%d" % n])) for n in range(2000)]
    share = sum(draft.teams[place] == "a" for draft in drafts) / 2000
    assert abs(share - 0.5) < 0.045  # four standard deviations


def test_a_seed_knows_where_its_pieces_end() -> None:
    assert draw_seed([b"ab", b"c"]) != draw_seed([b"a", b"bc"])
