"""Each error of the service: its name, its status on each wire, when it is raised, what wins."""

import json
from collections.abc import Sequence
from typing import Any

import cbor2
import pytest

from pipelines.errors import ModelFailed, Overloaded, RescoreError
from pipelines.scoring import Scorer
from sidecar.aws.errors import access_denied, conflict, internal, quota_exceeded, throttled
from sidecar.kendra_ranking.errors import no_plan, no_resource
from sidecar.kendra_ranking.wires import write_error
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Serve, Served, document

# Exception: status of awsJson, of rpc-v2-cbor, of REST.
STATUSES = {
    "AccessDeniedException": (400, 403, 403),
    "ConflictException": (400, 409, 409),
    "InternalServerException": (500, 500, 500),
    "ResourceNotFoundException": (400, 404, 404),
    "ResourceUnavailableException": (400, 404, 404),
    "ServiceQuotaExceededException": (400, 402, 402),
    # After a 429 the plugin would retry, on a thread that the user's search waits for.
    "ThrottlingException": (400, 429, 400),
}
NOBODY = "0" * 36
ARN_OF_NOBODY = f"arn:aws:kendra-ranking:us-east-1:000000000000:rescore-execution-plan/{NOBODY}"


@pytest.mark.parametrize("name", STATUSES)
def test_each_error_on_each_wire(name: str) -> None:
    made = [
        *(access_denied("m"), conflict("m"), internal()),
        *(no_plan("m"), no_resource("m"), quota_exceeded("m"), throttled("m")),
    ]
    [error] = [error for error in made if error.name == name]
    json_, cbor, rest = (write_error(wire, error) for wire in ("json", "cbor", "rest"))
    assert (json_[0], cbor[0], rest[0]) == STATUSES[name]
    assert cbor2.loads(cbor[1]) == json.loads(json_[1]) == json.loads(rest[1])
    assert {fields["x-amzn-ErrorType"] for *_, fields in (json_, cbor, rest)} == {name}
    assert cbor[2]["smithy-protocol"] == "rpc-v2-cbor"


def test_unknown_plans_are_not_found(door: Served) -> None:
    for name in ("Describe", "Update", "Delete"):
        answer = door.call(f"{name}RescoreExecutionPlan", {"Id": NOBODY})
        assert answer.error == (400, "ResourceNotFoundException")
    answer = door.rescore([document("d")], RescoreExecutionPlanId=NOBODY)
    assert answer.error == (400, "ResourceNotFoundException")


@pytest.mark.parametrize("arn", ["x", ARN_OF_NOBODY, "\ud800"])
def test_unknown_arns_are_unavailable(door: Served, arn: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("TagResource", {"Tags": []}),
        ("UntagResource", {"TagKeys": []}),
        ("ListTagsForResource", {}),
    ]
    for name, more in calls:
        answer = door.call(name, {"ResourceARN": arn, **more})
        assert answer.error == (400, "ResourceUnavailableException")


class Failing(Scorer):
    """A scorer that fails in a given way, as a model does."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def score(self, *_: Any) -> list[float | None]:
        raise self._error

    def scorer(self, _: float) -> "Failing":
        return self

    def unread(self, _: str, texts: Sequence[str]) -> Sequence[str]:
        return texts

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Overloaded("full"), (400, "ThrottlingException")),
        (ModelFailed("broken"), (500, "InternalServerException")),
        (RescoreError("other"), (500, "InternalServerException")),
        (ZeroDivisionError("a secret"), (500, "InternalServerException")),
    ],
)
def test_failures_of_the_model(serve: Serve, failure: Exception, error: tuple[int, str]) -> None:
    answer = serve(models=Failing(failure)).rescore([document("d", "text")])
    assert answer.error == error
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body


def test_models_that_are_still_being_loaded(serve: Serve) -> None:
    answer = serve(loading=True).rescore([document("d", "text")])
    assert answer.error == (400, "ThrottlingException")


def test_a_deadline_that_passes(serve: Serve) -> None:
    documents = [document(f"d{n}", "word " * 400) for n in range(200)]
    answer = serve(deadline_ms=1).rescore(documents)
    assert answer.error == (400, "ThrottlingException")


KEYS = [{"id": "KEY", "secret": "secret"}, {"id": "ROBOT", "secret": "robot", "rescore_only": True}]


def test_the_order_in_which_a_request_is_checked(serve: Serve) -> None:
    door = serve(access_keys=KEYS, auto_plan=None, transition_ms=600_000, max_plans=1)
    describe = "DescribeRescoreExecutionPlan"
    # Syntax is checked before authentication.
    assert door.call(describe, b"{").error == (400, "SerializationException")
    # Authentication is checked before shapes.
    assert door.call(describe, {"Id": "x"}).error == (403, "MissingAuthenticationToken")
    robot, owner = door.client("ROBOT", "robot"), door.client("KEY", "secret")
    with pytest.raises(robot.exceptions.AccessDeniedException):
        robot.describe_rescore_execution_plan(Id="x" * 40)
    # Shapes are checked before the plan.
    wrong = {"RescoreExecutionPlanId": NOBODY, "SearchQuery": "q" * 1001}
    with pytest.raises(robot.exceptions.ValidationException):
        robot.rescore(**wrong, Documents=[document("d")])
    # The plan is looked up before its state is checked.
    with pytest.raises(robot.exceptions.ResourceNotFoundException):
        robot.rescore(RescoreExecutionPlanId=NOBODY, SearchQuery="q", Documents=[document("d")])
    # The state is checked before quotas.
    plan = owner.create_rescore_execution_plan(Name="one")["Id"]
    units = {"RescoreCapacityUnits": 10**6}
    with pytest.raises(owner.exceptions.ConflictException):
        owner.update_rescore_execution_plan(Id=plan, CapacityUnits=units)
    with pytest.raises(owner.exceptions.ConflictException):
        owner.rescore(RescoreExecutionPlanId=plan, SearchQuery="q", Documents=[document("d")])
    # Quotas are checked last.
    with pytest.raises(owner.exceptions.ServiceQuotaExceededException):
        owner.create_rescore_execution_plan(Name="two")


def test_who_may_call(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    door = serve(access_keys=KEYS, bearer_tokens=["token-of-curl"])
    rescore = {"RescoreExecutionPlanId": PLAN_ID, "SearchQuery": "q", "Documents": [document("d")]}
    for key, secret in [("KEY", "secret"), ("ROBOT", "robot")]:
        assert door.client(key, secret).rescore(**rescore)["ResultItems"]
    assert door.call("Rescore", rescore, Authorization="Bearer token-of-curl").status == 200
    bad = door.call("Rescore", rescore, Authorization="Bearer other")
    assert bad.error == (403, "InvalidClientTokenId")
    assert door.call("Rescore", rescore).error == (403, "MissingAuthenticationToken")
    for key, secret, name in [
        ("KEY", "wrong", "InvalidSignatureException"),
        ("NOBODY", "secret", "InvalidClientTokenId"),
    ]:
        client = door.client(key, secret)
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.rescore(**rescore)
        assert caught.value.response["Error"]["Code"] == name
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    door.clock.append(1e9)
    late = door.client("KEY", "secret")
    with pytest.raises(late.exceptions.ClientError, match="RequestExpired"):
        late.rescore(**rescore)
    for secret in ("secret", "robot", "token-of-curl"):
        assert secret not in caplog.text.replace("secrets", "")


def test_signatures_of_another_region(serve: Serve) -> None:
    client = serve(access_keys=KEYS, region="eu-west-1").client("KEY", "secret")
    with pytest.raises(client.exceptions.ClientError, match="eu-west-1"):
        client.list_rescore_execution_plans()


def test_calls_are_counted_by_operation_wire_and_outcome(serve: Serve) -> None:
    door = serve()
    door.rescore([document("d", "text")])
    door.send("GET", f"/rescore-execution-plans/{NOBODY}")

    def calls(operation: str, wire: str, outcome: str) -> float | None:
        labels = {"operation": operation, "wire": wire, "outcome": outcome}
        return door.metrics.registry.get_sample_value("rescore_kendra_ranking_calls_total", labels)

    assert calls("Rescore", "json", "ok") == 1
    assert calls("DescribeRescoreExecutionPlan", "rest", "ResourceNotFoundException") == 1
