"""Every constraint of the service's shapes, each on a real request: the last accepted value, the
first refused value, and the path that the error names."""

from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.config.kendra_ranking import KendraRanking
from sidecar.kendra_ranking.operations import declare_operations
from tests.service_models import check_declaration, service_model
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Serve, Served, document, serving

CREATE, LIST, RESCORE = "CreateRescoreExecutionPlan", "ListRescoreExecutionPlans", "Rescore"
DESCRIBE, UPDATE = "DescribeRescoreExecutionPlan", "UpdateRescoreExecutionPlan"
DELETE = "DeleteRescoreExecutionPlan"
ARN = f"arn:aws:kendra-ranking:us-east-1:000000000000:rescore-execution-plan/{PLAN_ID}"
CAPACITY = "RescoreCapacityUnits"


def rescore(**members: Any) -> tuple[str, dict[str, Any]]:
    whole = {"RescoreExecutionPlanId": PLAN_ID, "SearchQuery": "q", "Documents": [document("d")]}
    return RESCORE, {**whole, **members}


def rescore_document(**members: Any) -> tuple[str, dict[str, Any]]:
    return rescore(Documents=[document("first"), {**document("d"), **members}])


def tag(key: str = "k", value: str = "v") -> tuple[str, dict[str, Any]]:
    return "TagResource", {"ResourceARN": ARN, "Tags": [{"Key": key, "Value": value}]}


TAKEN = {
    "name of 1": (CREATE, {"Name": "a"}),
    "name of 1000": (CREATE, {"Name": "a" * 1000}),
    "name with - and _": (CREATE, {"Name": "a-_9"}),
    "empty description": (CREATE, {"Name": "a", "Description": ""}),
    "description of 1000": (CREATE, {"Name": "a", "Description": "é" * 1000}),
    "description beyond the BMP": (CREATE, {"Name": "a", "Description": "😀" * 1000}),
    "client token of 64": (CREATE, {"Name": "a", "ClientToken": "~" * 64}),
    "no units": (CREATE, {"Name": "a", "CapacityUnits": {CAPACITY: 0}}),
    "no tags": (CREATE, {"Name": "a", "Tags": []}),
    "null members": (CREATE, {"Name": "a", "Description": None, "CapacityUnits": None}),
    "unknown members": (CREATE, {"Name": "a", "Else": {"x": [1]}}),
    "page of 1": (LIST, {"MaxResults": 1}),
    "page of 50": (LIST, {"MaxResults": 50}),
    "tag key of 128": tag("k" * 128),
    "tag value of 256": tag("k", "v" * 256),
    "empty tag value": tag("k", ""),
    "tag characters": tag("aZ9 é_.:/=+-@"),
    "query of 1000": rescore(SearchQuery="q" * 1000),
    "query of a line break": rescore(SearchQuery="\n"),
    "id of 2048": rescore_document(Id="i" * 2048),
    "group of 2048": rescore_document(GroupId="g" * 2048),
    "title of 1024": rescore_document(Title="t" * 1024),
    "body of 2048": rescore_document(Body="b" * 2048),
    "token of 2048": rescore_document(TokenizedTitle=["t" * 2048], TokenizedBody=["b" * 2048]),
    "least score": rescore_document(OriginalScore=-100_000),
    "largest score": rescore_document(OriginalScore=100_000.0),
    "title and tokenised body": rescore_document(Title="t", TokenizedBody=["b"]),
    "null for the other form": rescore_document(Title="t", TokenizedTitle=None),
    "neither title nor body": rescore_document(),
}

REFUSED = {
    "no name": (CREATE, {}, "name"),
    "null name": (CREATE, {"Name": None}, "name"),
    "empty name": (CREATE, {"Name": ""}, "name"),
    "name of 1001": (CREATE, {"Name": "a" * 1001}, "name"),
    "name that begins with -": (CREATE, {"Name": "-a"}, "name"),
    "name with a blank": (CREATE, {"Name": "a b"}, "name"),
    "name that is a number": (CREATE, {"Name": 1}, "name"),
    "description of 1001": (CREATE, {"Name": "a", "Description": "d" * 1001}, "description"),
    "description with a tab": (CREATE, {"Name": "a", "Description": "\t"}, "description"),
    "description with a joiner": (CREATE, {"Name": "a", "Description": "\u200d"}, "description"),
    "empty client token": (CREATE, {"Name": "a", "ClientToken": ""}, "clientToken"),
    "client token of 65": (CREATE, {"Name": "a", "ClientToken": "t" * 65}, "clientToken"),
    "client token with é": (CREATE, {"Name": "a", "ClientToken": "é"}, "clientToken"),
    "units that are no object": (CREATE, {"Name": "a", "CapacityUnits": 1}, "capacityUnits"),
    "units without a number": (
        *(CREATE, {"Name": "a", "CapacityUnits": {}}),
        "capacityUnits.rescoreCapacityUnits",
    ),
    "negative units": (
        *(CREATE, {"Name": "a", "CapacityUnits": {CAPACITY: -1}}),
        "capacityUnits.rescoreCapacityUnits",
    ),
    "201 tags": (
        *(CREATE, {"Name": "a", "Tags": [{"Key": f"k{n}", "Value": ""} for n in range(201)]}),
        "tags",
    ),
    "tag without a value": (CREATE, {"Name": "a", "Tags": [{"Key": "k"}]}, "tags.1.member.value"),
    "null tag": (CREATE, {"Name": "a", "Tags": [None]}, "tags.1.member"),
    "empty tag key": (*tag(""), "tags.1.member.key"),
    "tag key of 129": (*tag("k" * 129), "tags.1.member.key"),
    "tag key with a star": (*tag("a*"), "tags.1.member.key"),
    "tag value of 257": (*tag("k", "v" * 257), "tags.1.member.value"),
    "tag value with a star": (*tag("k", "*"), "tags.1.member.value"),
    "201 tag keys": (
        *("UntagResource", {"ResourceARN": ARN, "TagKeys": [f"k{n}" for n in range(201)]}),
        "tagKeys",
    ),
    "empty key to remove": (
        *("UntagResource", {"ResourceARN": ARN, "TagKeys": [""]}),
        "tagKeys.1.member",
    ),
    "no ARN": ("ListTagsForResource", {}, "resourceARN"),
    "empty ARN": ("ListTagsForResource", {"ResourceARN": ""}, "resourceARN"),
    "ARN of 1012": ("ListTagsForResource", {"ResourceARN": "a" * 1012}, "resourceARN"),
    "page of 0": (LIST, {"MaxResults": 0}, "maxResults"),
    "page of 51": (LIST, {"MaxResults": 51}, "maxResults"),
    "page size in words": (LIST, {"MaxResults": "10"}, "maxResults"),
    "empty page token": (LIST, {"NextToken": ""}, "nextToken"),
    "page token of 801": (LIST, {"NextToken": "t" * 801}, "nextToken"),
    "page token with a line break": (LIST, {"NextToken": "t\n"}, "nextToken"),
    **{
        f"{operation} of {len(plan_id)} {plan_id[:2]}": (operation, {"Id": plan_id}, "id")
        for operation in (DESCRIBE, UPDATE, DELETE)
        for plan_id in ("a" * 35, "a" * 37, "-" + "a" * 35, "a" * 35 + "_", "")
    },
    "no plan": (*rescore(RescoreExecutionPlanId=None), "rescoreExecutionPlanId"),
    "plan of 35": (*rescore(RescoreExecutionPlanId="a" * 35), "rescoreExecutionPlanId"),
    "no query": (*rescore(SearchQuery=None), "searchQuery"),
    "empty query": (*rescore(SearchQuery=""), "searchQuery"),
    "query of 1001": (*rescore(SearchQuery="q" * 1001), "searchQuery"),
    "no documents": (*rescore(Documents=None), "documents"),
    "empty documents": (*rescore(Documents=[]), "documents"),
    "documents that are none": (*rescore(Documents=["d"]), "documents.1.member"),
    "no id": (*rescore_document(Id=None), "documents.2.member.id"),
    "empty id": (*rescore_document(Id=""), "documents.2.member.id"),
    "id of 2049": (*rescore_document(Id="i" * 2049), "documents.2.member.id"),
    "empty group": (*rescore_document(GroupId=""), "documents.2.member.groupId"),
    "group of 2049": (*rescore_document(GroupId="g" * 2049), "documents.2.member.groupId"),
    "empty title": (*rescore_document(Title=""), "documents.2.member.title"),
    "title of 1025": (*rescore_document(Title="t" * 1025), "documents.2.member.title"),
    "empty body": (*rescore_document(Body=""), "documents.2.member.body"),
    "body of 3000": (*rescore_document(Body="b" * 3000), "documents.2.member.body"),
    "body that is a list": (*rescore_document(Body=["b"]), "documents.2.member.body"),
    "no title tokens": (*rescore_document(TokenizedTitle=[]), "documents.2.member.tokenizedTitle"),
    "no body tokens": (*rescore_document(TokenizedBody=[]), "documents.2.member.tokenizedBody"),
    "empty token": (
        *rescore_document(TokenizedBody=["a", ""]),
        "documents.2.member.tokenizedBody.2.member",
    ),
    "token of 2049": (
        *rescore_document(TokenizedTitle=["a" * 2049]),
        "documents.2.member.tokenizedTitle.1.member",
    ),
    "null token": (
        *rescore_document(TokenizedBody=[None]),
        "documents.2.member.tokenizedBody.1.member",
    ),
    "tokens that are a text": (
        *rescore_document(TokenizedBody="a b"),
        "documents.2.member.tokenizedBody",
    ),
    "both title forms": (*rescore_document(Title="t", TokenizedTitle=["t"]), "documents.2.member"),
    "both body forms": (*rescore_document(Body="b", TokenizedBody=["b"]), "documents.2.member"),
    "no score": (*rescore_document(OriginalScore=None), "documents.2.member.originalScore"),
    "score in words": (*rescore_document(OriginalScore="1.5"), "documents.2.member.originalScore"),
    "score of true": (*rescore_document(OriginalScore=True), "documents.2.member.originalScore"),
}

STRICT = {
    "body with a line break": (*rescore_document(Body="a\nb"), "documents.2.member.body"),
    "title with a NUL": (*rescore_document(Title="a\0"), "documents.2.member.title"),
    "score NaN": (*rescore_document(OriginalScore="NaN"), "documents.2.member.originalScore"),
    "score Infinity": (
        *rescore_document(OriginalScore="Infinity"),
        "documents.2.member.originalScore",
    ),
    "score too large": (
        *rescore_document(OriginalScore=100_001),
        "documents.2.member.originalScore",
    ),
    "score too small": (
        *rescore_document(OriginalScore=-100_001),
        "documents.2.member.originalScore",
    ),
    "101 title tokens": (
        *rescore_document(TokenizedTitle=["t"] * 101),
        "documents.2.member.tokenizedTitle",
    ),
    "201 body tokens": (
        *rescore_document(TokenizedBody=["t"] * 201),
        "documents.2.member.tokenizedBody",
    ),
    "26 documents": (*rescore(Documents=[document(f"d{n}") for n in range(26)]), "documents"),
    "4 documents in a group": (
        *rescore(Documents=[document(f"d{n}", GroupId="g") for n in range(4)]),
        "documents",
    ),
}


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("roomy"), max_plans=1000) as served:
        yield served


@pytest.mark.parametrize("case", TAKEN)
def test_is_taken(roomy: Served, case: str) -> None:
    operation, members = TAKEN[case]
    answer = roomy.call(operation, members)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_and_its_path_named(door: Served, case: str) -> None:
    operation, members, path = REFUSED[case]
    answer = door.call(operation, members)
    assert answer.error == (400, "ValidationException")
    assert f" at '{path}' failed to satisfy constraint: " in answer.json["message"]


@pytest.mark.parametrize("case", STRICT)
def test_strict_quotas_refuse_what_is_bent_otherwise(door: Served, serve: Serve, case: str) -> None:
    operation, members, path = STRICT[case]
    assert door.call(operation, members).status == 200
    answer = serve(strict_quotas=True).call(operation, members)
    assert answer.error == (400, "ValidationException")
    assert f" at '{path}' failed to satisfy constraint: " in answer.json["message"]


def test_the_exact_quotas_are_taken_when_strict(serve: Serve) -> None:
    documents = [
        document(
            f"d{group}@{number}",
            GroupId=f"d{group}",
            TokenizedTitle=["t"] * 100,
            TokenizedBody=["b"] * 200,
        )
        for group in range(25)
        for number in range(3)
    ]
    answer = serve(strict_quotas=True).rescore(documents)
    assert len(answer.json["ResultItems"]) == 25


def test_the_wording_of_a_refusal(door: Served) -> None:
    answer = door.rescore([document("a"), document("b", Title="t" * 1025)])
    assert answer.json["message"] == (
        f"1 validation error detected: Value '{'t' * 100}...' at 'documents.2.member.title' "
        "failed to satisfy constraint: Member must have length less than or equal to 1024"
    )


# Deliberate differences from the model: values that its pattern allows and its length forbids,
# rules that only the documentation has, and control characters in a title, refused as in a body.
OWN_PATTERNS = {"ClientToken", "Key", "Value", "TagKeys", "Title"}


def test_the_declaration_is_the_models() -> None:
    """Compares our shapes with the service's model in boto3."""
    model = service_model("kendra-ranking")
    operations = declare_operations(KendraRanking(strict_quotas=True))
    assert set(model.operation_names) == set(operations)
    for name, operation in operations.items():
        own = model.operation_model(name).input_shape
        check_declaration(name, operation.input, own, OWN_PATTERNS)
