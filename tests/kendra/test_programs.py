"""Programs as applications have them: written for Kendra, with another endpoint."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ParamValidationError

from tests.kendra.collection import papers
from tests.kendra.replies import additional, facet, ids, items, slices
from tests.kendra.serving import PAPERS, Kendra


@pytest.fixture
def plain(kendra: Kendra, monkeypatch: pytest.MonkeyPatch) -> Any:
    """boto3's client with nothing but the environment that names the endpoint."""
    for name, value in {
        "AWS_ENDPOINT_URL_KENDRA": f"http://{kendra.sidecar.api}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("kendra")
    yield client
    client.close()


def test_one_program_with_everything(plain: Any) -> None:
    start = datetime(2022, 1, 1, tzinfo=UTC)
    filter_ = {
        "AndAllFilters": [
            {"EqualsTo": {"Key": "_language_code", "Value": {"StringValue": "en"}}},
            {"GreaterThan": {"Key": "_created_at", "Value": {"DateValue": start}}},
            {
                "NotFilter": {
                    "ContainsAny": {"Key": "_authors", "Value": {"StringListValue": ["Trent"]}}
                }
            },
        ]
    }
    category = {
        "DocumentAttributeKey": "_category",
        "MaxResults": 5,
        "Facets": [{"DocumentAttributeKey": "Lab"}],
    }
    query = plain.query(
        IndexId=PAPERS,
        QueryText="kettle",
        AttributeFilter=filter_,
        PageNumber=1,
        PageSize=10,
        Facets=[category],
        SortingConfigurations=[{"DocumentAttributeKey": "_created_at", "SortOrder": "DESC"}],
        SpellCorrectionConfiguration={"IncludeQuerySpellCheckSuggestions": True},
        UserContext={"UserId": "cat", "Groups": ["staff"]},
    )
    assert ids(query) == ["kettle-1", "kettle-2"]
    assert facet(query, "_category") == {"household": 2}
    for item in items(query):
        assert item["ScoreAttributes"]["ScoreConfidence"] in ("VERY_HIGH", "HIGH", "MEDIUM", "LOW")
        assert {word.lower() for word in slices(item["DocumentExcerpt"])} == {"kettle"}
    # An application may read an ANSWER's text by its place.
    for item in items(query, "ANSWER"):
        assert list(additional(item)) == ["AnswerText"]
    found = plain.retrieve(IndexId=PAPERS, QueryText="copper kettle", PageSize=100)
    bodies = {paper.id: paper.body for paper in papers()}
    assert all(item["Content"] in bodies[item["DocumentId"]] for item in found["ResultItems"])
    result = query["ResultItems"][0]["Id"]
    reply = plain.submit_feedback(
        IndexId=PAPERS,
        QueryId=query["QueryId"],
        ClickFeedbackItems=[{"ResultId": result, "ClickTime": datetime.now(UTC)}],
        RelevanceFeedbackItems=[{"ResultId": result, "RelevanceValue": "RELEVANT"}],
    )
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    "moment",
    [
        "2023-05-01T12:30:10Z",
        "2023-05-01T14:30:10.900000+02:00",
        1_682_944_210,
        datetime(2023, 5, 1, 12, 30, 10, 900_000, tzinfo=UTC),
    ],
    ids=str,
)
def test_dates_may_be_written_as_boto3_takes_them(plain: Any, moment: object) -> None:
    filter_ = {"EqualsTo": {"Key": "_created_at", "Value": {"DateValue": moment}}}
    reply = plain.query(IndexId=PAPERS, QueryText="kettle", AttributeFilter=filter_)
    assert ids(reply) == ["kettle-1"]


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("query", {"IndexId": "short"}),
        ("retrieve", {"IndexId": PAPERS}),
        (
            "query",
            {
                "IndexId": PAPERS,
                "AttributeFilter": {"EqualsTo": {"Key": "Lab", "Value": {"StringValue": ""}}},
            },
        ),
        ("query", {"IndexId": PAPERS, "RequestedDocumentAttributes": []}),
    ],
    ids=str,
)
def test_what_boto3_refuses_itself(plain: Any, operation: str, members: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        getattr(plain, operation)(**members)


@pytest.mark.parametrize(
    "members",
    [
        {"QueryText": ""},
        {"QueryText": "x" * 5000},
        {"PageSize": 0},
        {"PageNumber": -1},
        {"QueryResultTypeFilter": "TABLE"},
        {"AttributeFilter": {"NotFilter": {"NotFilter": {"NotFilter": {}}}}},
    ],
    ids=lambda members: str(members)[:60],
)
def test_what_boto3_lets_through_is_refused_here(plain: Any, members: dict[str, Any]) -> None:
    with pytest.raises(plain.exceptions.ValidationException):
        plain.query(**{"IndexId": PAPERS, "QueryText": "kettle", **members})
