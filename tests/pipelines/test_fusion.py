from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipelines import fusion as core
from pipelines.documents import Document
from pipelines.errors import BadScores
from pipelines.fusion import Ranked, lay_on, reorder
from pipelines.fusion_methods import (
    Fusion,
    FusionMethod,
    RelativeFusion,
    ReplaceFusion,
    RrfFusion,
    WeightedFusion,
)
from pipelines.groups import Group, group_documents
from pipelines.lexical import Evidence
from pipelines.original_scores import OriginalScores, read_original_scores
from pipelines.plan import Scores
from tests.pipelines.windows import lone_groups

NO_EVIDENCE = Evidence(query_words=9, groups={})


def originals_of(groups: Sequence[Group]) -> OriginalScores:
    return read_original_scores(group.original_score for group in groups)


def fuse(
    groups: Sequence[Group], scores: Mapping[int, float], fusion: FusionMethod, evidence: Evidence
) -> dict[int, float]:
    return core.fuse(groups, originals_of(groups), scores, fusion, evidence)


def rank_hits(
    groups: Sequence[Group],
    order: Iterable[int],
    fused: Mapping[int, float],
    scores: Mapping[int, float],
    show: Scores,
) -> tuple[Ranked, ...]:
    return core.rank_hits(groups, originals_of(groups), order, fused, scores, show)


@pytest.mark.parametrize(
    ("fusion", "values"),
    [
        # Two hits of the window are 19/6 apart on average.
        (
            RelativeFusion(weight=5),
            {0: 6 / (5 * 19 / 6) + 0.5, 1: 3 / (5 * 19 / 6) + 4.5, 3: 0 - 1.0},
        ),
        (
            WeightedFusion(weight=0.25),
            {0: 0.75 + 0.25 * 3 / 11, 1: 0.375 + 0.25, 3: 0.0},
        ),
        (
            RrfFusion(weight=2),
            {0: 1 / 61 + 2 / 62, 1: 1 / 62 + 2 / 61, 3: 1 / 63 + 2 / 63},
        ),
        (ReplaceFusion(), {0: 0.1, 1: 0.9, 3: -0.2}),
    ],
    ids=lambda value: value.method if hasattr(value, "method") else "",
)
def test_each_method_is_its_formula_over_the_scored_groups(
    fusion: FusionMethod, values: dict[int, float]
) -> None:
    groups = lone_groups([9.0, 6.0, 5.0, 3.0])
    assert fuse(groups, {0: 0.1, 1: 0.9, 3: -0.2}, fusion, NO_EVIDENCE) == pytest.approx(values)


@pytest.mark.parametrize("score", [0.0, 3.0])
def test_original_scores_that_are_all_equal_leave_the_model_alone(score: float) -> None:
    groups = lone_groups([score, score])
    assert fuse(groups, {0: 1.0, 1: 2.0}, RelativeFusion(weight=2), NO_EVIDENCE) == {
        0: 2.0,
        1: 4.0,
    }


def test_lexical_evidence_takes_its_share_of_the_original_score() -> None:
    fusion = RelativeFusion(weight=5, lexical=0.25)
    evidence = Evidence(9, {0: 0.5, 1: 1.5, 2: 2.5})
    fused = fuse(lone_groups([9.0, 6.0, 3.0]), {0: 0.1, 1: 0.9}, fusion, evidence)
    # Two hits of the window, the unread one too, are 4 apart on average.
    assert fused == pytest.approx(
        {0: 0.75 * 6 / 20 + 0.25 * 0.5 + 0.5, 1: 0.75 * 3 / 20 + 0.25 * 1.5 + 4.5}
    )


def test_without_evidence_the_original_score_keeps_its_share() -> None:
    without, with_it = (RelativeFusion(weight=5, lexical=share) for share in (0, 0.5))
    groups, scores = lone_groups([9.0, 6.0]), {0: 0.1, 1: 0.9}
    assert fuse(groups, scores, with_it, NO_EVIDENCE) == fuse(groups, scores, without, NO_EVIDENCE)


@pytest.mark.parametrize(("words", "weight"), [(0, 0.0), (1, 1.0), (3, 3.0), (5, 5.0), (50, 5.0)])
def test_short_query_texts_lower_the_weight(words: int, weight: float) -> None:
    fusion = RelativeFusion(weight=5, short_query_words=5)
    fused = fuse(lone_groups([2.0, 2.0]), {0: 0.0, 1: 1.0}, fusion, Evidence(words, {}))
    assert fused == {0: 0.0, 1: weight}


def test_equal_scores_scale_to_nothing() -> None:
    fusion = WeightedFusion(weight=0.5)
    assert fuse(lone_groups([4.0, 2.0]), {0: 7.0, 1: 7.0}, fusion, NO_EVIDENCE) == {0: 0.5, 1: 0.0}
    assert fuse(lone_groups([4.0, 4.0]), {0: 1.0, 1: 7.0}, fusion, NO_EVIDENCE) == {0: 0.0, 1: 0.5}


def test_rrf_gives_tied_scores_ranks_in_the_original_order() -> None:
    fused = fuse(
        lone_groups([3.0, 2.0, 1.0]),
        {0: 1.0, 1: 5.0, 2: 1.0},
        RrfFusion(weight=1),
        NO_EVIDENCE,
    )
    assert fused == pytest.approx({0: 1 / 61 + 1 / 62, 1: 1 / 62 + 1 / 61, 2: 1 / 63 + 1 / 63})


def test_values_that_cannot_be_computed_with_are_refused() -> None:
    with pytest.raises(BadScores, match="too large"):
        fuse(
            lone_groups([1.0, 1.0]),
            {0: 1e308, 1: -1e308},
            RelativeFusion(weight=100),
            NO_EVIDENCE,
        )


def test_scored_groups_change_places_among_themselves_and_ties_keep_the_original_order() -> None:
    assert reorder([0, 1, 2, 3, 4], {0: 1.0, 2: 3.0, 3: 1.0}) == [2, 1, 0, 3, 4]
    assert reorder([3, 1, 0], {3: 1.0, 0: 1.0}) == [0, 1, 3]


PINNED = [1e6, 1e5, 1e5, 1e3, 4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize("method", ["relative", "weighted", "rrf", "replace"])
def test_pinned_groups_have_the_highest_value_and_no_part_in_the_others(method: str) -> None:
    fusion = TypeAdapter(Fusion).validate_python(
        {"method": method, **({} if method == "replace" else {"weight": 1})}
    )
    scores = dict(enumerate([0.1, 0.2, 0.9, 0.3, 0.1, 0.2, 0.3, 0.9]))
    fused = fuse(lone_groups(PINNED), scores, fusion, NO_EVIDENCE)
    without = {index - 4: score for index, score in scores.items() if index > 3}
    alone = fuse(lone_groups(PINNED[4:]), without, fusion, NO_EVIDENCE)
    assert {index - 4: value for index, value in fused.items() if index > 3} == alone
    assert {fused[index] for index in range(4)} == {max(alone.values())}
    order = reorder(range(8), fused)
    assert order[:4] == [0, 1, 2, 3]
    shown = [hit.score for hit in rank_hits(lone_groups(PINNED), order, fused, scores, "fused")]
    assert shown[:5] == PINNED[:5]
    assert shown[-1] == 1.0


def test_sunk_groups_have_the_lowest_value() -> None:
    groups = lone_groups([1004.0, 1003.0, 1002.0, 1001.0, 7.0, 5.0])
    scores = dict(enumerate([0.1, 0.2, 0.3, 0.4, 0.8, 0.9]))
    fused = fuse(groups, scores, ReplaceFusion(), NO_EVIDENCE)
    assert fused == {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.1, 5: 0.1}
    order = reorder(range(6), fused)
    assert order == [3, 2, 1, 0, 4, 5]
    shown = [hit.score for hit in rank_hits(groups, order, fused, scores, "fused")]
    assert shown == pytest.approx([1004.0, 1003.0, 1002.0, 1001.0, 7.0, 5.0])


def test_where_the_pinned_alone_were_scored_they_keep_their_order() -> None:
    fused = fuse(lone_groups(PINNED), {0: 0.1, 1: 0.9}, RelativeFusion(), NO_EVIDENCE)
    assert reorder(range(8), fused) == list(range(8))


def test_all_hits_of_a_pinned_group_show_its_score() -> None:
    values = ["a", *"bcdef", "a"]
    documents = [
        Document(i, "", "", score, value)
        for i, (score, value) in enumerate(zip([1e6, 5, 4, 3, 2, 1, 0.5], values, strict=True))
    ]
    groups = group_documents(documents)
    fused = {0: 4.0, 1: 0.0, 2: 1.0, 3: 2.0, 4: 3.0, 5: 4.0}
    shown = rank_hits(groups, [0, 5, 4, 3, 2, 1], fused, {}, "fused")
    assert shown[:3] == ranked((0, 1e6), (6, 1e6), (5, 5.0))


def test_values_are_laid_on_a_scale_whose_ends_are_met_exactly() -> None:
    assert lay_on([0.3, 0.2, 0.1], [0.7, 7.1, 1.0]) == [7.1, pytest.approx(3.9), 0.7]
    assert lay_on([2.0, 2.0], [1.0, 3.0]) == [3.0, 1.0]
    assert lay_on([], []) == []


def ranked(*pairs: tuple[int, float | None]) -> tuple[Ranked, ...]:
    return tuple(Ranked(position, score) for position, score in pairs)


def test_fused_scores_take_the_range_of_the_original_ones() -> None:
    groups = lone_groups([8.0, 6.0, 4.0])
    fused = {0: 0.0, 1: 3.0, 2: 1.0}
    shown = rank_hits(groups, [1, 2, 0], fused, {}, "fused")
    assert [hit.position for hit in shown] == [1, 2, 0]
    assert [hit.score for hit in shown] == pytest.approx([8.0, 4 + 4 / 3, 4.0])


def test_a_hit_without_a_score_keeps_its_own_but_never_stands_above_a_lower_one() -> None:
    groups = lone_groups([9.0, 8.0, 2.0, 1.0])
    shown = rank_hits(groups, [3, 1, 2, 0], {0: 0.1, 2: 0.2, 3: 0.9}, {}, "fused")
    assert shown == ranked((3, 9.0), (1, 8.0), (2, 2.0), (0, 1.0))
    shown = rank_hits(groups, [0, 1, 2, 3], {0: 0.9, 2: 0.8, 3: 0.1}, {}, "fused")
    assert shown == ranked((0, 9.0), (1, 8.0), (2, 8.0), (3, 1.0))


def test_equal_fused_values_leave_every_score_in_its_place() -> None:
    groups = lone_groups([9.0, 8.0, 2.0])
    shown = rank_hits(groups, [0, 1, 2], {0: 1.0, 1: 1.0, 2: 1.0}, {}, "fused")
    assert shown == ranked((0, 9.0), (1, 8.0), (2, 2.0))


def test_the_other_two_ways_to_show_scores() -> None:
    groups = lone_groups([9.0, 8.0, 2.0])
    scores = {0: -1.0, 2: 3.5}
    assert rank_hits(groups, [2, 1, 0], scores, scores, "model") == ranked(
        (2, 3.5), (1, None), (0, -1.0)
    )
    assert rank_hits(groups, [2, 1, 0], scores, scores, "positional") == ranked(
        (2, 9.0), (1, 8.0), (0, 2.0)
    )


def test_the_hits_of_a_group_stand_together_in_their_original_order() -> None:
    documents = [Document(i, "", "", 9.0 - i, value) for i, value in enumerate("abab")]
    groups = group_documents(documents)
    shown = rank_hits(groups, [1, 0], {0: 1.0, 1: 2.0}, {}, "positional")
    assert shown == ranked((1, 9.0), (3, 8.0), (0, 7.0), (2, 6.0))


def test_an_empty_window_has_an_empty_ranking() -> None:
    assert rank_hits([], [], {}, {}, "fused") == ()


# What OpenSearch can send: scores that are not negative, in 32 bits, the highest first.
original_scores = st.lists(
    st.floats(0, 2.0**100, width=32) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=30
).map(lambda scores: sorted(scores, reverse=True))
model_scores = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0])
fusions = st.sampled_from(
    [
        RelativeFusion(weight=5),
        WeightedFusion(weight=0.5),
        RrfFusion(weight=1),
        ReplaceFusion(),
    ]
)


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[Group], dict[int, float]]:
    """Groups of one or more hits, some of them with a score."""
    values = st.none() | st.sampled_from("ab")
    groups = group_documents(
        Document(position, "", "", score, draw(values))
        for position, score in enumerate(draw(original_scores))
    )
    scores = {i: draw(model_scores) for i in range(len(groups)) if draw(st.booleans())}
    return groups, scores


@given(windows(), fusions, st.sampled_from(["fused", "model", "positional"]))
def test_a_ranking_is_a_permutation_and_groups_stay_together(
    window: tuple[list[Group], dict[int, float]], fusion: FusionMethod, show: Scores
) -> None:
    groups, scores = window
    fused = fuse(groups, scores, fusion, NO_EVIDENCE)
    order = reorder(range(len(groups)), fused)
    positions = [hit.position for hit in rank_hits(groups, order, fused, scores, show)]
    assert sorted(positions) == list(range(len(positions)))
    assert positions == [d.position for index in order for d in groups[index].documents]
    assert all(order[place] == place for place in range(len(groups)) if place not in scores)


@given(windows(), fusions)
def test_fused_scores_never_increase_and_keep_the_ends_of_the_window(
    window: tuple[list[Group], dict[int, float]], fusion: FusionMethod
) -> None:
    groups, scores = window
    fused = fuse(groups, scores, fusion, NO_EVIDENCE)
    order = reorder(range(len(groups)), fused)
    ranking = rank_hits(groups, order, fused, scores, "fused")
    shown = [hit.score for hit in ranking if hit.score is not None]
    original = [document.original_score for group in groups for document in group.documents]
    assert len(shown) == len(original)
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == max(original)
    assert min(original) <= shown[-1]
    originals = originals_of(groups)
    if len(scores) == len(groups) and all(originals.hold(g.original_score) for g in groups):
        assert shown[-1] == min(original)


@given(original_scores, fusions, model_scores)
def test_scores_that_are_all_equal_change_no_order(
    original: list[float], fusion: FusionMethod, score: float
) -> None:
    groups = lone_groups(original)
    fused = fuse(groups, dict.fromkeys(range(len(groups)), score), fusion, NO_EVIDENCE)
    assert reorder(range(len(groups)), fused) == list(range(len(groups)))
