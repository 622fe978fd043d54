"""Mixes two orders of the same hits by team draft, so that clicks can tell which order is better.

The two orders are teams that choose hits in turns, as captains choose players: whichever team has
fewer hits chooses next, a coin decides if both have the same number, and a team chooses the first
hit of its order that is still free. A click counts for the team of its hit. If clicks do not
depend on the orders, both teams get the same number on average.

Source: F. Radlinski, M. Kurup, T. Joachims, How Does Clickthrough Data Reflect Retrieval Quality?,
CIKM 2008, algorithm 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

NO_TEAM: Final = "-"
"""The sign for a hit that no team chose."""


class Draft(NamedTuple):
    """A mixed order: positions, and for each place the team, `a` or `b`."""

    order: tuple[int, ...]
    teams: str


def draw_seed(pieces: Iterable[bytes]) -> bytes:
    """A seed that depends only on these pieces; the same in every process."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(b"%d:" % len(piece) + piece)
    return digest.digest()


def draft_teams(order_a: Sequence[int], order_b: Sequence[int], seed: bytes) -> Draft:
    """Mix two orders of the same positions; the same seed gives the same coins. Linear."""
    orders = (order_a, order_b)
    coins = hashlib.shake_128(seed).digest(len(order_a) // 16 + 1)
    chosen: set[int] = set()
    order: list[int] = []
    teams: list[str] = []
    next_places = [0, 0]
    for place in range(len(order_a)):
        if place % 2 == 0:
            # Both teams have the same number of hits.
            toss = place // 2
            team = coins[toss // 8] >> (toss % 8) & 1
        else:
            team = 1 - team
        while orders[team][next_places[team]] in chosen:
            next_places[team] += 1
        position = orders[team][next_places[team]]
        chosen.add(position)
        order.append(position)
        teams.append("ab"[team])
    return Draft(tuple(order), "".join(teams))
