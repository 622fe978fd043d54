"""Simulated users who look at high ranks more often: credit must be fair all the same."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from sidecar.evaluation.live_comparison import compare_arms, compare_interleaved
from sidecar.evaluation.ubi import Pair, UbiSearch

PAIR = Pair("old", "new")
SHOWN = 10
Likes = Callable[[str], float]


def draft(draw: random.Random) -> str:
    """Teams of a page as team draft gives them: in each round, a coin says who picks first."""
    return "".join(draw.choice(("ab", "ba")) for _ in range(SHOWN // 2))


def search(
    number: int, client: str, clicked: set[int], plan: str | None = None, teams: str = ""
) -> UbiSearch:
    shown = tuple(map(str, range(SHOWN)))
    return UbiSearch(
        f"q{number}", "text", client, shown, plan, PAIR if teams else None, teams, clicked
    )


def interleaved(count: int, likes: Likes, seed: int) -> list[UbiSearch]:
    draw = random.Random(seed)
    searches = []
    for number in range(count):
        teams = draft(draw)
        clicked = {
            place for place, team in enumerate(teams) if draw.random() < likes(team) / (place + 1)
        }
        searches.append(search(number, f"user{draw.randrange(count // 4)}", clicked, teams=teams))
    return searches


def test_users_who_prefer_neither_give_no_winner() -> None:
    covered = 0
    for seed in range(20):
        [result] = compare_interleaved(interleaved(400, lambda team: 0.6, seed))
        assert result.preference is not None
        assert result.clicked < result.searches == 400
        covered += not result.preference.is_certain
    # 95 % intervals: of 20, one or two may miss.
    assert covered >= 17


def test_the_plan_that_users_like_wins() -> None:
    [result] = compare_interleaved(interleaved(600, lambda team: 0.8 if team == "b" else 0.4, 1))
    assert (result.winner, result.wins_b > result.wins_a) == ("new", True)
    [other] = compare_interleaved(interleaved(600, lambda team: 0.8 if team == "a" else 0.4, 1))
    assert other.winner == "old"


def test_few_searches_name_no_winner() -> None:
    [result] = compare_interleaved([search(n, f"u{n}", {1}, teams="ab") for n in range(10)])
    assert result.preference is not None
    assert result.preference.value == 1
    assert result.winner is None
    [unclicked] = compare_interleaved([search(1, "u", set(), teams="ab")])
    assert (unclicked.preference, unclicked.winner) == (None, None)
    # Hits behind the teams, or of no team, are nobody's.
    [nobody] = compare_interleaved([search(1, "u", {2, 7}, teams="ab-")])
    assert nobody.clicked == 0


def split(clicks: dict[str, float], users: int, seed: int = 3) -> list[UbiSearch]:
    """Each user stays in one arm, and clicks often or hardly at all."""
    draw = random.Random(seed)
    searches = []
    for user in range(users):
        plan = "off" if user % 2 else "fused"
        often = draw.random() < clicks[plan]
        for number in range(20):
            clicked = {draw.randrange(3)} if often and draw.random() < 0.9 else set()
            searches.append(search(number, f"u{user}", clicked, plan))
    return searches


def test_arms_are_compared_by_users() -> None:
    first, second = compare_arms(split({"fused": 0.8, "off": 0.4}, 200))
    arms = {arm.plan: arm for arm in (first, second)}
    assert arms["fused"].users == arms["off"].users == 100
    assert arms["fused"].click_through.value == pytest.approx(0.72, abs=0.15)
    assert first.click_through_gain is None
    assert second.click_through_gain is not None
    assert second.click_through_gain.is_certain
    # Searches of one user are alike, so 40 users say little, whatever their 800 searches.
    _, few = compare_arms(split({"fused": 0.5, "off": 0.5}, 40))
    assert few.click_through_gain is not None
    interval = few.click_through_gain.interval
    assert interval.high - interval.low > 0.3
    assert not few.click_through_gain.is_certain


def test_the_first_click_counts_by_its_rank() -> None:
    searches = [search(n, f"u{n}", {1, 4}, "fused") for n in range(5)]
    [arm] = compare_arms([*searches, search(9, "u9", set(), "fused")])
    assert arm.first_click.value == pytest.approx(0.5 * 5 / 6)


def test_many_users_are_resampled_in_bags() -> None:
    searches = [search(n, f"u{n}", {0} if n % 2 else set(), "fused") for n in range(12_000)]
    [arm] = compare_arms(searches)
    assert arm.users == 12_000
    low, high = arm.click_through.interval.low, arm.click_through.interval.high
    # Nearly as for 12,000 independent searches: 2 x 1.96 x 0.5 / sqrt(12,000).
    assert high - low == pytest.approx(0.0179, rel=0.15)
