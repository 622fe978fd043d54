"""The order of a window without its hits. It takes a hundredth of the memory, so it stays longer.

If a further page is requested after the window was removed, OpenSearch searches again, and the hits
get the window's order. So pages agree even if rescoring would give another order by now, for
example because more passage vectors are stored, or because the deadline does not pass this time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan

from pipelines.plan import Plan
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.search_response import ResponseHit, SearchResponse

Order = Sequence[tuple[int, float | None]]
"""For each place, the best first: a hit's position in OpenSearch's order, and its new score. With
None the hit keeps its own score."""

_HIT_BYTES = 16
_BYTES = 600


@dataclass(frozen=True, slots=True)
class WindowOrder:
    """The order in which the hits of a window were shown, and the outcome of the search.

    `hits` has a hash of each hit, which is only valid in this process and its sibling workers.
    `scores` has each hit's new score, or NaN if it kept its own. If `hits` is None, the client got
    OpenSearch's own page, and must get its further pages from OpenSearch too. With `interleave`,
    `teams` has each hit's team.
    """

    plan: Plan
    outcome: Outcome
    hits: array[int] | None
    scores: array[float]
    teams: str = ""

    def orders(self, places: int) -> bool:
        """Whether it says all that can be known of this number of first places.

        If a page was sure before everything was read, little is known of the pages behind it.
        """
        return not 0 < self.outcome.sure < places

    @property
    def size(self) -> int:
        """About how many bytes of memory the order takes."""
        return _BYTES + _HIT_BYTES * len(self.scores) + len(self.teams)


def record_order(
    plan: Plan,
    outcome: Outcome,
    response: SearchResponse,
    order: Order | None,
    teams: str = "",
) -> WindowOrder:
    """The order to cache for a window; None for `order` is OpenSearch's own order."""
    hashes = list(_hash_hits(response.hits))
    placed = list(order or ())
    placed += [(position, None) for position in range(len(placed), len(hashes))]
    return WindowOrder(
        plan,
        outcome,
        array("q", (hashes[position] for position, _ in placed)),
        array("d", (nan if score is None else score for _, score in placed)),
        teams,
    )


def record_no_order(plan: Plan, outcome: Outcome) -> WindowOrder:
    """What to cache for a search that was forwarded unchanged."""
    return WindowOrder(plan, outcome, None, array("d"))


def apply_order(response: SearchResponse, window_order: WindowOrder) -> Order:
    """The window's order for the hits that it had; all other hits follow in OpenSearch's order.

    Scores never rise: a hit that follows a hit with a lower score gets that score, unless the plan
    shows the models' scores.
    """
    assert window_order.hits is not None
    places = {hit_hash: place for place, hit_hash in enumerate(window_order.hits)}
    before: list[tuple[int, int]] = []
    behind: list[int] = []
    for position, hit_hash in enumerate(_hash_hits(response.hits)):
        place = places.get(hit_hash)
        if place is None:
            behind.append(position)
        else:
            before.append((place, position))
    before.sort()
    scores = window_order.scores
    placed: list[tuple[int, float | None]] = [
        (position, None if isnan(scores[place]) else scores[place]) for place, position in before
    ]
    placed += [(position, None) for position in behind]
    return placed if window_order.plan.scores == "model" else list(_cap_scores(response, placed))


def continue_order(response: SearchResponse, window_order: WindowOrder, order: Order) -> Order:
    """A window's order for its sure hits, which earlier pages have shown, and `order` for the rest.

    Scores never rise, as in `apply_order`.
    """
    assert window_order.hits is not None
    hashes = list(_hash_hits(response.hits))
    sure = set(window_order.hits[: window_order.outcome.sure])
    placed = [one for one in apply_order(response, window_order) if hashes[one[0]] in sure]
    taken = {position for position, _ in placed}
    placed += [one for one in order if one[0] not in taken]
    taken.update(position for position, _ in order)
    placed += [(position, None) for position in range(len(hashes)) if position not in taken]
    return placed if window_order.plan.scores == "model" else list(_cap_scores(response, placed))


def apply_teams(response: SearchResponse, window_order: WindowOrder) -> str:
    """The team of each place in the order that `apply_order` returns."""
    if not window_order.teams or window_order.hits is None:
        return ""
    there = set(_hash_hits(response.hits))
    return "".join(
        team
        for hit_hash, team in zip(window_order.hits, window_order.teams, strict=False)
        if hit_hash in there
    )


def _cap_scores(response: SearchResponse, placed: Order) -> Iterator[tuple[int, float | None]]:
    lowest = inf
    for position, new in placed:
        score = response.hits[position].score or 0.0 if new is None else new
        if score > lowest:
            yield position, lowest
        else:
            lowest = score
            yield position, new


def _hash_hits(hits: Sequence[ResponseHit]) -> Iterator[int]:
    """A hash of each hit's index and id, and of how often they came before."""
    count: dict[tuple[str, str], int] = {}
    for hit in hits:
        name = (hit.index_name, hit.id)
        number = count.get(name, 0)
        count[name] = number + 1
        # Python's own hash is fast, and keyed by a secret of the process, or of its parent.
        yield hash((name, number)) if number else hash(name)
