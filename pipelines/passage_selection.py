"""Chooses the few passages of each group that a model reads, as it is slow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from pipelines.passage_methods import PassageMethod
from pipelines.passages import Passage


def select_passages(
    query_text: str,
    passages: Sequence[Passage],
    scores: Sequence[float],
    method: PassageMethod,
) -> list[Passage]:
    """At most `per_group` passages of each group, and of each field of it that is read apart.

    `passages` is as `split_passages` returns it, `scores` has the BM25 of each one's body. Groups
    stay in order; within one the best passages come first, unless all of them are taken.
    """
    least = method.per_group if method.keeps_small_groups else 0
    large = {passage.group for passage in passages if passage.number >= least}
    if not large:
        return list(passages)
    # Each group is chosen from by itself, and most are small.
    selected = [passage for passage in passages if passage.group not in large]
    of_large = [passage for passage in passages if passage.group in large]
    groups = [list(group) for _, group in groupby(of_large, key=attrgetter("group", "part"))]
    scores_in_order = (
        score for passage, score in zip(passages, scores, strict=True) if passage.group in large
    )
    chosen = method.choose(
        query_text,
        [[passage.body for passage in group] for group in groups],
        [[next(scores_in_order) for _ in group] for group in groups],
    )
    for group, places in zip(groups, chosen, strict=True):
        selected += [group[place] for place in places]
    selected.sort(key=attrgetter("group"))  # which keeps the order within a group
    return selected
