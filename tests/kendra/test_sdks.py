"""The AWS SDKs for JavaScript, Java and Go read the same results as boto3."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.clients import programs
from tests.kendra.serving import PAPERS, Kendra
from tests.nodes.java import NotInstalled


@pytest.mark.parametrize(
    "make",
    [programs.kendra_js_client, programs.kendra_java_client, programs.kendra_go_client],
    ids=["javascript", "java", "go"],
)
def test_sdk(kendra: Kendra, make: Callable[[], programs.Command]) -> None:
    try:
        command = make()
    except NotInstalled as missing:
        # A run that has to prove something must not pass by leaving tests out.
        if os.environ.get("RESCORE_REQUIRE_NODES") == "1":
            raise pytest.fail.Exception(str(missing), pytrace=False) from None
        pytest.skip(str(missing))
    lines = programs.run(command, f"http://{kendra.sidecar.api}", PAPERS)
    since = {"Key": "_created_at", "Value": {"DateValue": datetime(2022, 1, 1, tzinfo=UTC)}}
    query = kendra.client.query(
        IndexId=PAPERS, QueryText="kettle", AttributeFilter={"GreaterThan": since}
    )
    retrieved = kendra.client.retrieve(IndexId=PAPERS, QueryText="kettle")
    found = [item["DocumentId"] for item in query["ResultItems"]]
    assert len(found) > 1
    assert [json.loads(line) for line in lines] == [
        ["query", found, query["TotalNumberOfResults"]],
        ["facet", True],
        ["retrieve", [item["DocumentId"] for item in retrieved["ResultItems"]]],
        ["refused", True, True],
    ]
