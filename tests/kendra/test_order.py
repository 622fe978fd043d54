"""Sorting, collapsing and tuning with boto3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.kendra.collection import Paper, papers
from tests.kendra.replies import ALL, condition, ids, string
from tests.kendra.serving import GUARDED, PAPERS, UTF_16


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_created_at", lambda p: p.created and p.created.timestamp()),
        ("_view_count", lambda p: p.views),
        ("Lab", lambda p: p.lab),
        ("_category", lambda p: p.category),
    ],
)
def test_sorted_over_the_whole_match_set_with_missing_values_last(
    client: Any, key: str, value: Callable[[Paper], Any], order: str
) -> None:
    by_id = {paper.id: paper for paper in papers()}
    reply = client.query(
        IndexId=UTF_16,
        AttributeFilter=condition("EqualsTo", "_category", string("genetics")),
        SortingConfiguration={"DocumentAttributeKey": key, "SortOrder": order},
        PageSize=100,
    )
    expected = [value(paper) for paper in papers() if paper.category == "genetics"]
    present = sorted((v for v in expected if v is not None), reverse=order == "DESC")
    assert [value(by_id[name]) for name in ids(reply)] == [
        *present,
        *[None] * (len(expected) - len(present)),
    ][:100]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_the_first_hundred_are_those_of_all_matches(client: Any, order: str) -> None:
    reply = client.query(
        IndexId=UTF_16,
        AttributeFilter=ALL,
        SortingConfigurations=[{"DocumentAttributeKey": "_view_count", "SortOrder": order}],
        PageSize=100,
    )
    views = {paper.id: paper.views for paper in papers()}
    known = sorted((v for v in views.values() if v is not None), reverse=order == "DESC")
    assert len(known) > 200
    assert [views[name] for name in ids(reply)] == known[:100]


@pytest.mark.parametrize("text", ["expression of genes in human cells", "copper kettle boils"])
def test_sorting_keeps_the_result_set(client: Any, text: str) -> None:
    members = {"IndexId": UTF_16, "QueryText": text, "QueryResultTypeFilter": "DOCUMENT"}
    plain = client.query(**members, PageSize=100)
    for order in ("ASC", "DESC"):
        by_views = {"DocumentAttributeKey": "_view_count", "SortOrder": order}
        reply = client.query(**members, PageSize=100, SortingConfiguration=by_views)
        assert reply["TotalNumberOfResults"] == plain["TotalNumberOfResults"]
        assert len(ids(reply)) == len(ids(plain))
        if plain["TotalNumberOfResults"] <= 100:
            assert set(ids(reply)) == set(ids(plain))


def test_three_keys_sort_one_after_the_other(client: Any) -> None:
    keys = [("Lab", "ASC"), ("_category", "DESC"), ("_view_count", "ASC")]
    reply = client.query(
        IndexId=UTF_16,
        AttributeFilter=condition("GreaterThan", "_view_count", {"LongValue": 250}),
        SortingConfigurations=[
            {"DocumentAttributeKey": key, "SortOrder": order} for key, order in keys
        ],
        PageSize=100,
    )
    chosen = [paper for paper in papers() if paper.views is not None and paper.views > 250]
    chosen.sort(key=lambda p: p.views or 0)
    chosen.sort(key=lambda p: p.category, reverse=True)
    chosen.sort(key=lambda p: (p.lab is None, p.lab or ""))

    def values(found: Sequence[Paper]) -> list[tuple[str | None, str, int | None]]:
        return [(paper.lab, paper.category, paper.views) for paper in found]

    by_id = {paper.id: paper for paper in papers()}
    assert values([by_id[name] for name in ids(reply)]) == values(chosen[:100])


def test_ties_are_sorted_by_relevance_and_other_blocks_stay_first(client: Any) -> None:
    sorting = {"DocumentAttributeKey": "_category", "SortOrder": "DESC"}
    plain = client.query(IndexId=PAPERS, QueryText="kettle", PageSize=100)
    reply = client.query(
        IndexId=PAPERS, QueryText="kettle", SortingConfiguration=sorting, PageSize=100
    )
    kinds = [item["Type"] for item in reply["ResultItems"]]
    assert kinds == sorted(kinds, key=["ANSWER", "QUESTION_ANSWER", "DOCUMENT"].index)
    household = {p.id for p in papers() if p.category == "household"}
    found = [name for name in ids(reply) if name in household]
    assert len(found) == 4
    assert found == [name for name in ids(plain) if name in set(found)]


def collapsed(client: Any, **collapse: Any) -> Any:
    return client.query(
        IndexId=UTF_16,
        QueryText="kettle",
        QueryResultTypeFilter="DOCUMENT",
        CollapseConfiguration={"DocumentAttributeKey": "Lab", **collapse},
        PageSize=100,
    )


def labs_of(reply: Any) -> list[str | None]:
    by_id = {paper.id: paper for paper in papers()}
    return [by_id[name].lab for name in ids(reply)]


def test_collapse_leaves_one_document_a_group_and_one_for_all_without_the_key(client: Any) -> None:
    reply = collapsed(client)
    assert sorted(map(str, labs_of(reply))) == ["Drums", "Hidden", "None", "Sealed", "Tea"]
    assert reply["TotalNumberOfResults"] == 5
    for item in reply["ResultItems"]:
        detail = item["CollapsedResultDetail"]
        assert detail["DocumentAttribute"]["Key"] == "Lab"
        lab = {paper.id: paper.lab for paper in papers()}[item["DocumentId"]]
        assert detail["DocumentAttribute"]["Value"] == ({"StringValue": lab} if lab else {})
        assert "ExpandedResults" not in detail or detail["ExpandedResults"] == []


def test_documents_collapse_on_numbers_too(client: Any) -> None:
    reply = client.query(
        IndexId=UTF_16,
        AttributeFilter=condition("LessThanOrEquals", "_view_count", {"LongValue": 40}),
        CollapseConfiguration={"DocumentAttributeKey": "_view_count"},
        PageSize=100,
    )
    details = [item["CollapsedResultDetail"]["DocumentAttribute"] for item in reply["ResultItems"]]
    assert {detail["Key"] for detail in details} == {"_view_count"}
    shown = [detail["Value"]["LongValue"] for detail in details]
    expected = {p.views for p in papers() if p.views is not None and p.views <= 40}
    assert sorted(shown) == sorted(expected)
    assert reply["TotalNumberOfResults"] == len(expected)


def test_the_three_strategies_for_documents_without_the_key(client: Any) -> None:
    keyless = ["kettle-3", "kettle-5"]
    assert (
        len(set(ids(collapsed(client, MissingAttributeKeyStrategy="COLLAPSE"))) & {*keyless}) == 1
    )
    assert not set(ids(collapsed(client, MissingAttributeKeyStrategy="IGNORE"))) & {*keyless}
    assert set(ids(collapsed(client, MissingAttributeKeyStrategy="EXPAND"))) >= {*keyless}


def test_the_primary_is_the_most_relevant_or_the_first_in_the_order_given(client: Any) -> None:
    plain = client.query(IndexId=UTF_16, QueryText="kettle", PageSize=100)
    tea = [name for name in ids(plain) if name in ("kettle-1", "kettle-2")]
    assert tea[0] in ids(collapsed(client))
    for order, expected in (("ASC", "kettle-2"), ("DESC", "kettle-1")):
        sorting = [{"DocumentAttributeKey": "_view_count", "SortOrder": order}]
        assert expected in ids(collapsed(client, SortingConfigurations=sorting))


def test_expanded_results_are_the_others_of_the_group(client: Any) -> None:
    reply = collapsed(client, Expand=True)
    [tea] = [i for i in reply["ResultItems"] if i["DocumentId"] in ("kettle-1", "kettle-2")]
    [other] = tea["CollapsedResultDetail"]["ExpandedResults"]
    assert {tea["DocumentId"], other["DocumentId"]} == {"kettle-1", "kettle-2"}
    assert set(other) == {
        *("Id", "DocumentId", "DocumentTitle", "DocumentExcerpt", "DocumentURI"),
        "DocumentAttributes",
    }
    none = collapsed(client, Expand=True, ExpandConfiguration={"MaxResultItemsToExpand": 1})
    expanded = [
        item for item in none["ResultItems"] if item["CollapsedResultDetail"].get("ExpandedResults")
    ]
    assert len(expanded) <= 1


def test_an_override_lifts_where_the_index_is_tuned_and_nowhere_else(client: Any) -> None:
    override = [{"Name": "_view_count", "Relevance": {"RankOrder": "ASCENDING", "Importance": 10}}]

    def order(index: str, **members: Any) -> list[str]:
        reply = client.query(
            IndexId=index, QueryText="kettle", QueryResultTypeFilter="DOCUMENT", **members
        )
        return ids(reply)

    def confidence(overrides: list[dict[str, Any]]) -> dict[str, str]:
        """By document: sorting leaves each its own bucket, whatever stands above it."""
        reply = client.query(
            IndexId=PAPERS,
            QueryText="copper kettle boils",
            QueryResultTypeFilter="DOCUMENT",
            SortingConfiguration={"DocumentAttributeKey": "Lab", "SortOrder": "ASC"},
            DocumentRelevanceOverrideConfigurations=overrides,
        )
        return {
            item["DocumentId"]: item["ScoreAttributes"]["ScoreConfidence"]
            for item in reply["ResultItems"]
        }

    tuned = order(PAPERS, DocumentRelevanceOverrideConfigurations=override)
    plain = order(PAPERS)
    assert set(tuned) == set(plain)
    assert tuned.index("secret-2") < plain.index("secret-2") or plain[0] == "secret-2"
    assert tuned != plain
    assert confidence(override) == confidence([])
    assert order(GUARDED, DocumentRelevanceOverrideConfigurations=override) == order(GUARDED)


@pytest.mark.parametrize(
    "text", ["expression of genes in cells", "protein kinase signalling in mice"]
)
def test_an_importance_of_ten_is_felt(client: Any, text: str) -> None:
    labs = {paper.id: paper.lab for paper in papers()}

    def mean_rank(importance: int) -> float:
        relevance = {"ValueImportanceMap": {"Hopper": importance}}
        reply = client.query(
            IndexId=PAPERS,
            QueryText=text,
            QueryResultTypeFilter="DOCUMENT",
            AttributeFilter=condition("EqualsTo", "_category", string("genetics")),
            DocumentRelevanceOverrideConfigurations=[{"Name": "Lab", "Relevance": relevance}],
            PageSize=100,
        )
        # All documents that match, so tuning cannot bring others into the reply.
        assert len(ids(reply)) == reply["TotalNumberOfResults"] < 100
        ranks = [rank for rank, name in enumerate(ids(reply), 1) if labs[name] == "Hopper"]
        return sum(ranks) / len(ranks)

    plain, five, ten = map(mean_rank, (1, 5, 10))
    assert ten < five < plain
    assert ten < 0.6 * plain


def test_an_irrelevant_document_does_not_pass_a_clearly_relevant_one(client: Any) -> None:
    members = {
        "IndexId": PAPERS,
        "QueryText": "copper kettle boils water",
        "QueryResultTypeFilter": "DOCUMENT",
    }
    for lab in ("Hopper", "Curie", "Drums"):
        tuning = {"Name": "Lab", "Relevance": {"ValueImportanceMap": {lab: 10}}}
        reply = client.query(**members, DocumentRelevanceOverrideConfigurations=[tuning])
        assert ids(reply)[0] == "kettle-1"


def test_the_importance_of_an_attribute_is_felt_when_the_query_names_its_value(client: Any) -> None:
    def order(importance: int) -> list[str]:
        tuning = {"Name": "_category", "Relevance": {"Importance": importance}}
        reply = client.query(
            IndexId=PAPERS,
            QueryText="growth of cells oncology",
            QueryResultTypeFilter="DOCUMENT",
            DocumentRelevanceOverrideConfigurations=[tuning],
            PageSize=24,
        )
        categories = {paper.id: paper.category for paper in papers()}
        return [categories[name] for name in ids(reply)]

    assert order(10).count("oncology") > 1.5 * order(1).count("oncology")
