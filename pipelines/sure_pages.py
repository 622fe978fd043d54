"""When the first hits of a new order can no longer change, whatever the models would still read.

A group whose passages were all read has its final value. Any other group has at most the value that
it would have if the model gave each unread passage its highest score. If the groups of the page
that a client asked for are all final, and no other group can rise above the last of them, the page
is *sure*: reading everything would give the same hits, in the same order, with the same scores of
the model.

This needs a value that depends on no other group's score, and never falls as the group's own score
rises; so it holds for some fusion methods alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from pipelines.errors import BadScores
from pipelines.passages import Passage
from pipelines.plan import Stage
from pipelines.scoring import group_scores


@dataclass(frozen=True, slots=True)
class SurePage:
    """Follows one stage that reads the passages of a window.

    `places` is the number of first hits that the client sees. `highest` is the model's highest
    score. `fuse` turns one score for each group, by its index, into one value for each: higher is
    better, and ties keep the order of the indices.
    """

    places: int
    highest: float
    stage: Stage
    passages: Sequence[Passage]
    fuse: Callable[[Mapping[int, float]], Mapping[int, float]]

    def is_sure(self, scores: Sequence[float | None]) -> bool:
        """Whether the first hits are final; one score for each passage, None if it was not read.

        False for scores that are not finite: the stage refuses them, when it has them all.
        """
        return self._find_limits(scores) is not None

    def assume(
        self,
        scores: Sequence[float | None],
        by_group: Mapping[int, float],
        estimates: Mapping[int, float],
    ) -> dict[int, float]:
        """What stands for the scores of the groups that are not final; empty if none is sure.

        `by_group` has the scores of what was read of a group, one at least. A group without one
        has its estimate, or else the mean of these scores. None has more than the model could give
        it, so none of them comes before the page's end.
        """
        limits = self._find_limits(scores) or {}
        if not limits:
            return {}
        mean = fsum(by_group.values()) / len(by_group)
        known = {**estimates, **by_group}
        return {group: min(known.get(group, mean), limit) for group, limit in limits.items()}

    def _find_limits(self, scores: Sequence[float | None]) -> dict[int, float] | None:
        """The highest score of each group that is not final; None if one may reach the page."""
        unread = {
            passage.group
            for passage, score in zip(self.passages, scores, strict=True)
            if score is None
        }
        final = {passage.group for passage in self.passages} - unread
        # Each group has one hit at least, so this number of groups fills the page.
        if len(final) < self.places:
            return None if unread else {}
        filled = [self.highest if score is None else score for score in scores]
        stage = self.stage
        try:
            limits, _ = group_scores(self.passages, filled, stage.aggregate, stage.averaged)
            values = self.fuse(limits)
        except BadScores:
            return None
        best_first = sorted((-values[group], group) for group in final)
        last = best_first[self.places - 1]
        if any((-values[group], group) < last for group in unread):
            return None
        return {group: limits[group] for group in unread}
