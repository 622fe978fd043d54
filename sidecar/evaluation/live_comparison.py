"""Compares plans by what users clicked: interleaved ones by credit, split ones by their arms.

Users differ more than their searches do, so intervals come from resampling users, not searches
(the cluster bootstrap; Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics",
KDD 2018, says why).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sidecar.evaluation.bootstrap import Interval
from sidecar.evaluation.ubi import Pair, UbiSearch

_SEED = 20_240_229
_RESAMPLES = 4000
# More users than this are resampled in this number of bags, each with all searches of its users.
_BAGS = 5000
_PICKS = 1 << 22
FEW_SEARCHES = 30
"""With fewer searches with clicks, an interval is a guess."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeasuredValue:
    """A mean over searches, with its 95 % interval."""

    value: float
    interval: Interval

    @property
    def is_certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True, slots=True)
class InterleaveResult:
    """Two interleaved plans.

    `preference` is the mean over searches with credited clicks of +1 if plan b got more of them, -1
    if plan a did, and 0 if both got equally many. It is None without such searches.
    """

    pair: Pair
    searches: int
    clicked: int
    wins_a: int
    wins_b: int
    preference: MeasuredValue | None

    @property
    def winner(self) -> str | None:
        """The better plan; None if nothing is certain."""
        if self.preference is None or not self.preference.is_certain or self.clicked < FEW_SEARCHES:
            return None
        return self.pair.b if self.preference.value > 0 else self.pair.a


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm of a split. The differences are to the arm with the most searches, None for itself.

    `click_through` is the share of searches with a click, `first_click` the mean of 1 / rank of
    the first clicked hit, 0 without a click.
    """

    plan: str
    searches: int
    users: int
    click_through: MeasuredValue
    first_click: MeasuredValue
    click_through_gain: MeasuredValue | None
    first_click_gain: MeasuredValue | None


def compare_interleaved(searches: Iterable[UbiSearch]) -> list[InterleaveResult]:
    """Credit each clicked hit to its team, and count the searches that each team wins.

    Team drafts give both teams each rank equally often, so a user who prefers neither plan credits
    both equally (Radlinski, Kurup and Joachims, CIKM 2008; Chapelle et al., TOIS 2012).
    """
    by_pair: defaultdict[Pair, list[UbiSearch]] = defaultdict(list)
    for one in searches:
        if one.pair is not None:
            by_pair[one.pair].append(one)
    results = []
    for pair, own in by_pair.items():
        outcomes: list[tuple[str, float]] = []
        for one in own:
            teams = [one.teams[place] for place in one.clicked if place < len(one.teams)]
            a, b = teams.count("a"), teams.count("b")
            if a or b:
                outcomes.append((one.client, float((b > a) - (a > b))))
        preference = _Sample(outcomes).estimate() if outcomes else None
        results.append(
            InterleaveResult(
                pair,
                len(own),
                len(outcomes),
                sum(value < 0 for _, value in outcomes),
                sum(value > 0 for _, value in outcomes),
                preference,
            )
        )
    return results


def compare_arms(searches: Iterable[UbiSearch]) -> list[ArmResult]:
    """Compare the plans of searches that were not interleaved; the largest arm comes first."""
    arms: defaultdict[str, list[UbiSearch]] = defaultdict(list)
    for one in searches:
        if one.pair is None and one.plan is not None and one.shown:
            arms[one.plan].append(one)
    ordered = sorted(arms.items(), key=lambda arm: (-len(arm[1]), arm[0]))
    results: list[ArmResult] = []
    base: tuple[_Sample, _Sample] | None = None
    for number, (plan, own) in enumerate(ordered):
        clicks = _sample_of(own, lambda one: float(bool(one.clicked)), number)
        ranks = _sample_of(own, _first_click, number)
        results.append(
            ArmResult(
                plan,
                len(own),
                len({one.client for one in own}),
                clicks.estimate(),
                ranks.estimate(),
                clicks.gain_over(base[0]) if base else None,
                ranks.gain_over(base[1]) if base else None,
            )
        )
        base = base or (clicks, ranks)
    return results


def _first_click(search: UbiSearch) -> float:
    return 1 / (min(search.clicked) + 1) if search.clicked else 0.0


def _sample_of(
    searches: Sequence[UbiSearch], value: Callable[[UbiSearch], float], number: int
) -> _Sample:
    return _Sample([(one.client, value(one)) for one in searches], number)


class _Sample:
    """Values of searches by user, and the means of many resamples of the users."""

    def __init__(self, values: Sequence[tuple[str, float]], number: int = 0) -> None:
        """`number` makes the resamples of two samples independent."""
        clients = list(dict.fromkeys(client for client, _ in values))
        bags = len(clients) > _BAGS
        # Not `hash`, which differs between processes.
        place = {
            client: crc32(client.encode("utf-8", "replace")) % _BAGS if bags else number
            for number, client in enumerate(clients)
        }
        at = np.array([place[client] for client, _ in values])
        sums = np.bincount(at, [value for _, value in values])
        counts = np.bincount(at)
        used = counts > 0
        self.value = float(sums.sum() / counts.sum())
        self.means = _resample(
            sums[used].astype(np.float64), counts[used].astype(np.float64), number
        )

    def estimate(self) -> MeasuredValue:
        return _estimate(self.value, self.means)

    def gain_over(self, other: _Sample) -> MeasuredValue:
        return _estimate(self.value - other.value, self.means - other.means)


def _estimate(value: float, means: Numbers) -> MeasuredValue:
    low, high = np.percentile(means, (2.5, 97.5))
    return MeasuredValue(value, Interval(float(low), float(high)))


def _resample(sums: Numbers, counts: Numbers, number: int) -> Numbers:
    generator = np.random.default_rng((_SEED, number))
    means = np.empty(_RESAMPLES)
    step = max(1, _PICKS // len(sums))
    for start in range(0, _RESAMPLES, step):
        stop = min(start + step, _RESAMPLES)
        picks = generator.integers(0, len(sums), (stop - start, len(sums)))
        means[start:stop] = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    return means
