"""Relevance tuning and its overrides: weights, functions, and ratings after the model."""

from typing import Any

import pytest

from sidecar.kendra.asking.tuning import (
    AttributeTuning,
    RelevanceTuning,
    rate,
    read_tuning,
    write_lifts,
)
from tests.sidecar.kendra.example_index import ATTRIBUTES, make_index, refused

PLAIN = make_index()
QUERY: dict[str, Any] = {"match_all": {}}
NOW = 1_700_000_000.0
DAY = 86_400


def tuned(**relevance: dict[str, Any]) -> Any:
    attributes = {name: {**ATTRIBUTES[name], "relevance": each} for name, each in relevance.items()}
    return make_index(attributes)


def override(name: str, **relevance: Any) -> dict[str, Any]:
    return {"Name": name, "Relevance": relevance}


TEAMS = tuned(Team={"value_importance_map": {"red": 8, "blue": 2}}, _category={"importance": 4})


def test_fields_weigh_the_same_unless_the_index_says_otherwise() -> None:
    assert read_tuning(None, PLAIN) == RelevanceTuning(
        ("title^1", "body^1", "_category^1", "author.text^1", "tags^1")
    )
    fields = {"title": "title", "body": "body", "title_importance": 2}
    assert read_tuning(None, make_index(fields=fields)).fields[:2] == ("title^2", "body^1")


def test_an_importance_is_the_weight_of_a_field() -> None:
    assert "_category^4" in read_tuning(None, TEAMS).fields


def test_overrides_change_nothing_where_the_index_has_no_tuning() -> None:
    members = [override("_document_title", Importance=10), override("_view_count", Importance=9)]
    assert read_tuning(members, PLAIN) == read_tuning(None, PLAIN)


def test_what_is_not_overridden_falls_to_importance_one() -> None:
    tuning = read_tuning([override("_document_body", Importance=3)], TEAMS)
    assert tuning.fields[:3] == ("title^1", "body^3", "_category^1")
    views = tuned(_view_count={"importance": 7, "rank_order": "DESCENDING"}, Team={"importance": 2})
    (lift,) = read_tuning([override("Team", Importance=5)], views).lifts
    assert lift == AttributeTuning("_view_count", 1, rank_order="DESCENDING")


def test_values_that_are_not_overridden_fall_to_importance_one() -> None:
    hits = [{"team": ["red"]}, {"team": ["blue"]}, {"team": ["green"]}, {}]
    for members, expected in (
        ([override("_category", Importance=9)], [0.0, 0.0, 0.0, 0.0]),
        ([override("Team", Importance=9)], [0.0, 0.0, 0.0, 0.0]),
        ([override("Team", ValueImportanceMap={"blue": 10})], [0.0, 1.0, 0.0, 0.0]),
    ):
        tuning = read_tuning(members, TEAMS)
        assert (rate(tuning, TEAMS, hits, NOW, "red blue green") or [0.0] * 4) == expected


def test_a_value_of_importance_one_is_like_any_other() -> None:
    index = tuned(Team={"value_importance_map": {"red": 1, "blue": 5}})
    assert rated(index, [{"team": ["red"]}, {"team": ["green"]}]) == [0.0, 0.0]
    assert functions(index) == [{"filter": {"term": {"team": "blue"}}, "weight": 5}]
    alone = tuned(Team={"value_importance_map": {"red": 1}})
    assert write_lifts(QUERY, read_tuning(None, alone), alone) is QUERY
    assert rated(alone, [{"team": ["red"]}, {}]) == [0.0, 0.0]


def test_an_override_replaces_the_tuning_of_its_attribute() -> None:
    members = [override("Team", Importance=5, ValueImportanceMap={"blue": 9})]
    assert read_tuning(members, TEAMS).lifts == (AttributeTuning("Team", 5, values=(("blue", 9),)),)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            [override("Unknown", Importance=2)],
            "names the attribute Unknown, which the index does not have.",
        ),
        (
            [override("Tags", Importance=2)],
            "names Tags, a STRING_LIST, which only the index can tune.",
        ),
        (
            [override("Team", RankOrder="ASCENDING")],
            "has a RankOrder for Team, which a STRING cannot have.",
        ),
        (
            [override("_view_count", Freshness=True)],
            "has a Freshness for _view_count, which a LONG cannot have.",
        ),
        (
            [override("_document_title", Duration="5s")],
            "has a Duration for _document_title, which a STRING cannot have.",
        ),
        (
            [override("_created_at", ValueImportanceMap={"a": 1})],
            "has a ValueImportanceMap for _created_at, which a DATE cannot have.",
        ),
        ([override("Team"), override("Team")], "names Team twice."),
        (
            [override("_created_at", Freshness=True), override("Changed", Freshness=True)],
            "can have Freshness for one attribute only.",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("index", [PLAIN, TEAMS], ids=["untuned", "tuned"])
def test_overrides_are_checked_whether_or_not_they_apply(
    index: Any, members: list[dict[str, Any]], message: str
) -> None:
    index = make_index(
        {
            **{
                name: each.model_dump(exclude_unset=True) for name, each in index.attributes.items()
            },
            "Changed": {"type": "DATE"},
        }
    )
    with refused(f"DocumentRelevanceOverrideConfigurations {message}"):
        read_tuning(members, index)


def functions(index: Any) -> list[dict[str, Any]]:
    written = write_lifts(QUERY, read_tuning(None, index), index)["function_score"]
    assert (written["score_mode"], written["boost_mode"]) == ("sum", "multiply")
    assert written["query"] == QUERY
    # The share that every document has: with it, no boost lowers a document.
    assert written["functions"][0] == {"weight": 10}
    tuning_functions: list[dict[str, Any]] = written["functions"][1:]
    return tuning_functions


def test_without_tuning_the_query_is_as_it_was() -> None:
    assert write_lifts(QUERY, read_tuning(None, PLAIN), PLAIN) is QUERY


def test_each_value_of_a_map_has_its_weight() -> None:
    assert functions(TEAMS) == [
        {"filter": {"term": {"team": "red"}}, "weight": 8},
        {"filter": {"term": {"team": "blue"}}, "weight": 2},
    ]


def test_large_numbers_first() -> None:
    assert functions(tuned(_view_count={"importance": 6, "rank_order": "ASCENDING"})) == [
        {
            "filter": {"range": {"views": {"gte": 0}}},
            "field_value_factor": {"field": "views", "modifier": "log1p"},
            "weight": 1.0,
        }
    ]


def test_small_numbers_first() -> None:
    assert functions(tuned(_view_count={"importance": 6, "rank_order": "DESCENDING"})) == [
        {"filter": {"range": {"views": {"lt": 1}}}, "weight": 6},
        {
            "filter": {"range": {"views": {"gte": 1}}},
            "field_value_factor": {"field": "views", "modifier": "reciprocal"},
            "weight": 6,
        },
    ]


def test_a_number_that_counts_more_lifts_large_values_by_default() -> None:
    assert read_tuning(None, tuned(_view_count={"importance": 2})).lifts == (
        AttributeTuning("_view_count", 2, rank_order="ASCENDING"),
    )
    assert read_tuning(None, tuned(_view_count={"importance": 1})).lifts == ()


@pytest.mark.parametrize(
    ("order", "origin", "years"), [("ASCENDING", "now", 1), ("DESCENDING", "now-100y", 50)]
)
def test_late_or_early_dates_first(order: str, origin: str, years: int) -> None:
    (function,) = functions(tuned(_created_at={"rank_order": order}))
    assert function == {
        "filter": {"exists": {"field": "created"}},
        "exp": {"created": {"origin": origin, "scale": f"{years * 365 * DAY}s"}},
        "weight": 1,
    }


@pytest.mark.parametrize(
    ("members", "offset", "scale"),
    [
        ({"importance": 4}, 7_884_000, 1_971_000),
        ({"importance": 10, "duration": "86400s"}, DAY, 8640),
        ({"importance": 10, "duration": "0s"}, 1, 1),
    ],
    ids=str,
)
def test_freshness_is_flat_within_its_duration_and_falls_faster_when_it_counts_more(
    members: dict[str, Any], offset: int, scale: int
) -> None:
    (function,) = functions(tuned(_created_at={"freshness": True, **members}))
    assert function["gauss"]["created"] == {
        "origin": "now",
        "offset": f"{offset}s",
        "scale": f"{scale}s",
        "decay": 0.5,
    }
    assert function["weight"] == members["importance"]


def rated(index: Any, hits: list[dict[str, Any]]) -> list[float]:
    ratings = rate(read_tuning(None, index), index, hits, NOW)
    assert ratings is not None
    return [round(rating, 3) for rating in ratings]


def test_without_tuning_there_are_no_ratings() -> None:
    assert rate(read_tuning(None, PLAIN), PLAIN, [{}], NOW) is None


def test_values_of_a_map_are_rated() -> None:
    hits = [{"team": ["red"]}, {"team": ["green"]}, {}, {"team": ["blue"]}]
    assert rated(TEAMS, hits) == [0.8, 0.0, 0.0, 0.2]


def test_a_searchable_attribute_counts_where_the_query_names_its_value() -> None:
    index = tuned(_category={"importance": 10, "value_importance_map": {"Legal": 3}})
    hits = [{"_category": [value]} for value in ("HR", "hr", "Legal", "Human Resources", "IT", "!")]
    tuning = read_tuning(None, index)
    for text, expected in (
        ("the holidays of HR", [1.0, 1.0, 0.3, 0.0, 0.0, 0.0]),
        ("human resources", [0.0, 0.0, 0.3, 1.0, 0.0, 0.0]),
        ("legal resources", [0.0, 0.0, 0.3, 0.0, 0.0, 0.0]),
        ("", [0.0, 0.0, 0.3, 0.0, 0.0, 0.0]),
    ):
        assert rate(tuning, index, [*hits, {}], NOW, text) == [*expected, 0.0]
    # With the importance that every attribute has, nothing is lifted.
    assert read_tuning(None, tuned(_category={"importance": 1})).lifts == ()


def test_the_best_value_of_a_list_counts() -> None:
    index = tuned(Tags={"value_importance_map": {"new": 5, "hot": 10}})
    assert rated(index, [{"tags": ["new", "hot", "old"]}, {"tags": ["old"]}]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("order", "expected"), [("ASCENDING", [0.0, 1.0, 0.25, 0.0]), ("DESCENDING", [1, 0, 0.75, 0])]
)
@pytest.mark.parametrize(("name", "field"), [("_view_count", "views"), ("_created_at", "created")])
def test_numbers_and_dates_are_compared_within_the_window(
    name: str, field: str, order: str, expected: list[float]
) -> None:
    index = tuned(**{name: {"importance": 10, "rank_order": order}})
    assert rated(index, [{field: [100]}, {field: [500]}, {field: [200]}, {}]) == expected


def test_a_window_of_equal_values_lifts_nothing() -> None:
    index = tuned(_view_count={"importance": 10, "rank_order": "ASCENDING"})
    assert rated(index, [{"views": [5]}, {"views": [5]}]) == [0.0, 0.0]


def test_freshness_is_rated_by_age() -> None:
    index = tuned(_created_at={"freshness": True, "importance": 10, "duration": f"{10 * DAY}s"})
    ages = [0, 10, 11, 12, 20]
    hits = [{"created": [int(NOW - days * DAY) * 1000]} for days in ages]
    # The rating is half at one scale beyond the duration; the scale is a tenth of the duration.
    assert rated(index, [*hits, {}]) == [1.0, 1.0, 0.5, 0.062, 0.0, 0.0]


def test_the_attributes_whose_values_are_needed_are_named() -> None:
    index = tuned(Team={"value_importance_map": {"a": 1}}, _view_count={"importance": 3})
    assert read_tuning(None, index).names == ("_view_count", "Team")
