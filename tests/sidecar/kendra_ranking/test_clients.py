"""Unchanged clients, with only the endpoint replaced: boto3 on both of its wires, the AWS CLI, and
the Go SDK. Each runs in its own process and signs with a key, which the door checks."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients import programs
from tests.nodes.java import NotInstalled
from tests.sidecar.kendra_ranking.installed import (
    ClientMissing,
    build_go_client,
    install_aws_cli,
    is_required,
)
from tests.sidecar.kendra_ranking.serving import PLAN_ID, Served, document, serving

SECRET = "the/secret+of=tests"

# From the service's documentation and examples; only the endpoint differs.
EXAMPLE = """
import os, boto3
os.environ.update(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION="us-east-1")
kr = boto3.client("kendra-ranking", endpoint_url="http://127.0.0.1:8123")
plan = kr.create_rescore_execution_plan(Name="local-plan", CapacityUnits={"RescoreCapacityUnits": 1})["Id"]
assert kr.describe_rescore_execution_plan(Id=plan)["Status"] == "ACTIVE"
out = kr.rescore(RescoreExecutionPlanId=plan, SearchQuery="reset a password", Documents=[
    {"Id": "d1@1", "GroupId": "d1", "TokenizedTitle": ["login", "help"],
     "TokenizedBody": ["forgot", "password", "link"], "OriginalScore": 3.2},
    {"Id": "d1@2", "GroupId": "d1", "TokenizedBody": ["contact", "support"], "OriginalScore": 3.2},
    {"Id": "d2", "Title": "Lunch menu", "Body": "Soup on Monday.", "OriginalScore": 4.1}])
print(out["RescoreId"], [(r["DocumentId"], r["Score"]) for r in out["ResultItems"]])   # d1 and d2, one each
try:
    kr.describe_rescore_execution_plan(Id="0" * 36)
except kr.exceptions.ResourceNotFoundException as e:
    print("typed error:", e.response["Error"]["Code"], "|", e.response["Message"])
"""  # noqa: E501

# botocore supports rpc-v2-cbor but prefers JSON; the two names are internals of botocore.
CBOR = """
import botocore.model, botocore.session, botocore.utils
botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = ("smithy-rpc-v2-cbor",) + tuple(
    p for p in botocore.utils.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS if p != "smithy-rpc-v2-cbor")
import os
kr = botocore.session.get_session().create_client("kendra-ranking", endpoint_url=os.environ["URL"])
assert kr.meta.service_model.resolved_protocol == "smithy-rpc-v2-cbor"
made = kr.create_rescore_execution_plan(Name="cbor", Tags=[{"Key": "k", "Value": "é"}])
plan = made["Id"]
described = kr.describe_rescore_execution_plan(Id=plan)
print(described["Name"], described["Status"], described["CreatedAt"].year > 2000)
out = kr.rescore(RescoreExecutionPlanId=plan, SearchQuery="q", Documents=[
    {"Id": "d", "Body": "text", "OriginalScore": 1.0}, {"Id": "e", "OriginalScore": float("nan")}])
print([item["DocumentId"] for item in out["ResultItems"]])
kr.update_rescore_execution_plan(Id=plan, Description="new")
print("cbor" in [plan["Name"] for plan in kr.list_rescore_execution_plans()["SummaryItems"]])
print(kr.list_tags_for_resource(ResourceARN=made["Arn"])["Tags"])
kr.delete_rescore_execution_plan(Id=plan)
for status, call in [
    (404, lambda: kr.describe_rescore_execution_plan(Id=plan)),
    (404, lambda: kr.tag_resource(ResourceARN=made["Arn"], Tags=[])),
    (400, lambda: kr.describe_rescore_execution_plan(Id="-" * 36)),
    (402, lambda: kr.create_rescore_execution_plan(
        Name="n", CapacityUnits={"RescoreCapacityUnits": 1001})),
]:
    try:
        call()
    except kr.exceptions.ClientError as e:
        print(type(e).__name__, e.response["ResponseMetadata"]["HTTPStatusCode"] == status,
              bool(e.response["Message"]))
"""


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that accepts only the test's key."""
    keys = [{"id": "KEY", "secret": SECRET}, {"id": "local", "secret": "local"}]
    with serving(tmp_path_factory.mktemp("signed"), access_keys=keys) as served:
        assert served.call("ListRescoreExecutionPlans").status == 403
        yield served


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment without AWS settings of this process and without files of the user."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        **more,
    }


def run(command: list[str], variables: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=dict(variables)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example(signed: Served, tmp_path: Path) -> None:
    script = EXAMPLE.replace("http://127.0.0.1:8123", signed.url)
    rescored, error = run([sys.executable, "-c", script], environment(tmp_path)).splitlines()
    assert rescored[36:].startswith(" [('d1', 0.")
    assert "('d2', 0." in rescored
    assert error.startswith("typed error: ResourceNotFoundException | There is no rescore")


def test_boto3_finds_the_endpoint_in_the_environment(signed: Served, tmp_path: Path) -> None:
    script = """
import boto3
client = boto3.client("kendra-ranking")
print(client.describe_rescore_execution_plan(Id=client.list_rescore_execution_plans()["SummaryItems"][0]["Id"])["Name"])
"""
    variables = environment(tmp_path, AWS_ENDPOINT_URL_KENDRA_RANKING=signed.url)
    assert run([sys.executable, "-c", script], variables) == "auto-plan\n"


def test_botocore_on_the_cbor_wire(signed: Served, tmp_path: Path) -> None:
    variables = environment(tmp_path, URL=signed.url)
    assert run([sys.executable, "-c", CBOR], variables).splitlines() == [
        "cbor ACTIVE True",
        "['d', 'e']",
        "True",
        "[{'Key': 'k', 'Value': 'é'}]",
        "ResourceNotFoundException True True",
        "ResourceUnavailableException True True",
        "ValidationException True True",
        "ServiceQuotaExceededException True True",
    ]


def test_boto3_raises_each_modelled_type(signed: Served) -> None:
    client = signed.client("KEY", SECRET)
    arn = f"arn:aws:kendra-ranking:us-east-1:000000000000:rescore-execution-plan/{'0' * 36}"
    raised = client.exceptions
    with pytest.raises(raised.ValidationException):
        client.rescore(
            RescoreExecutionPlanId=PLAN_ID, SearchQuery="q", Documents=[document("d", "b" * 3000)]
        )
    with pytest.raises(raised.ResourceNotFoundException):
        client.delete_rescore_execution_plan(Id="0" * 36)
    with pytest.raises(raised.ResourceUnavailableException):
        client.list_tags_for_resource(ResourceARN=arn)
    with pytest.raises(raised.ServiceQuotaExceededException):
        client.create_rescore_execution_plan(
            Name="n", CapacityUnits={"RescoreCapacityUnits": 10**6}
        )
    client.create_rescore_execution_plan(Name="n", ClientToken="t")
    with pytest.raises(raised.ConflictException) as caught:
        client.create_rescore_execution_plan(Name="m", ClientToken="t")
    response = caught.value.response
    assert response["Message"] == response["Error"]["Message"]
    assert len(response["ResponseMetadata"]["RequestId"]) == 36


def installed(install: Callable[[], Path]) -> Path:
    try:
        return install()
    except ClientMissing as missing:
        if is_required():
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


def test_the_aws_cli(signed: Served, tmp_path: Path) -> None:
    program = installed(install_aws_cli)
    variables = environment(tmp_path, AWS_PAGER="")

    def aws(*arguments: str) -> str:
        service = [str(program), "--endpoint-url", signed.url, "kendra-ranking"]
        return run([*service, *arguments], variables).strip()

    plan = aws(
        *("create-rescore-execution-plan", "--name", "from-the-cli"),
        *("--capacity-units", "RescoreCapacityUnits=1", "--query", "Id", "--output", "text"),
    )
    # The quickstart cuts these columns, which are in alphabetical order.
    listed = aws("list-rescore-execution-plans", "--query", "SummaryItems", "--output", "text")
    columns = [line.split("\t") for line in listed.splitlines()]
    assert all(len(line) == 5 for line in columns)
    [own] = [line for line in columns if line[1] == plan]
    assert own[1:4] == [plan, "from-the-cli", "ACTIVE"]
    documents = '[{"Id": "d", "Body": "Soup on Monday.", "OriginalScore": 1.5}]'
    rescored = aws(
        *("rescore", "--rescore-execution-plan-id", plan, "--search-query", "soup"),
        *("--documents", documents, "--query", "ResultItems[0].DocumentId", "--output", "text"),
    )
    assert rescored == "d"
    assert aws("delete-rescore-execution-plan", "--id", plan) == ""


def test_the_go_sdk(signed: Served, tmp_path: Path) -> None:
    program = installed(build_go_client)
    out = run([str(program), signed.url, SECRET], environment(tmp_path)).splitlines()
    assert out[:3] == [
        "described from-go ACTIVE 2 true",
        "rescored36 d1 true d2 true",
        "tags 1 a b",
    ]
    assert out[3].startswith("listed ")
    assert out[4] == "gone true"


def test_the_java_sdk(signed: Served) -> None:
    try:
        command = programs.kendra_java_client()
    except NotInstalled as missing:
        if is_required():
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    assert programs.run(command, signed.url, "ranking") == [
        "from-java ACTIVE",
        "a true b true",
        "gone 400",
    ]
