"""Keep the few passages of each group that share most with the query text, to spare the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from pipelines.kendra_text import choose_kendra_passages, tokenise
from pipelines.passages import Passage
from pipelines.plan import Passages


def select_passages(
    query_text: str,
    passages: Sequence[Passage],
    scores: Sequence[float],
    settings: Passages,
) -> list[Passage]:
    """Keep at most `settings.per_document` passages of each group, and of each field of it that is
    read apart, the best ones first.

    `passages` is as `split_passages` returns it, `scores` has the BM25 of each one's body; ties,
    and a query that shares no word, go to the earlier passage. A group that has no more passages
    than are kept stays as it is. Method `kendra` always chooses by the plugin's own rules, within
    each group.
    """
    groups = [list(group) for _, group in groupby(passages, key=attrgetter("group", "part"))]
    count = settings.per_document
    if settings.method == "kendra":
        tokens = tokenise(query_text)
        return [
            group[index]
            for group in groups
            for index in choose_kendra_passages(tokens, [p.body.split(" ") for p in group], count)
        ]
    left = iter(scores)
    kept: list[Passage] = []
    for group in groups:
        scored = [(next(left), passage) for passage in group]
        if len(group) > count:
            scored = sorted(scored, key=lambda pair: -pair[0])[:count]
        kept.extend(passage for _, passage in scored)
    return kept
