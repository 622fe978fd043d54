"""Malformed requests: each gets an error of the service's model, never a 500 or a traceback."""

import http.client
import json
import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings

from tests.sidecar.kendra_ranking.messages import ERRORS, Request, requests
from tests.sidecar.kendra_ranking.serving import (
    PLAN_ID,
    TARGET,
    Serve,
    Served,
    document,
    serving,
)

SERIALIZATION = (400, "SerializationException")
VALIDATION = (400, "ValidationException")


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b"{} x", b'"' + b"x" * 100),
        b"[" * 200_000,
        b'{"Documents":' * 50_000,
        b'{"SearchQuery": "\xc3\x28"}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_bodies_that_are_no_json(door: Served, body: bytes) -> None:
    assert door.call("Rescore", body).error == SERIALIZATION
    path = f"/rescore-execution-plans/{PLAN_ID}/rescore/"
    assert door.send("POST", path, body, chunked=True).error == SERIALIZATION


@pytest.mark.parametrize(
    "body",
    [
        *(b"\xff", b"\xa1", b"\x80", b"{}", b"\x9f", b"\xbf\x61a", b"\x62\xff\xff", b"\xa1\x61a"),
        *(b"\x5b" + b"\xff" * 8, b"\x9b\x7f" + b"\xff" * 7, b"\xbb" + b"\xff" * 8),
        b"\x81" * 100_000,
        b"\xa1\x61a" * 50_000,
        b"\xa1\x61a\xc5\x82\x1b\x7f" + b"\xff" * 7 + b"\x01\x00",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_bodies_that_are_no_cbor(door: Served, body: bytes) -> None:
    fields = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    answer = door.send("POST", f"/service/{TARGET}/operation/Rescore", body, fields)
    assert answer.status == 400
    assert cbor2.loads(answer.body)["__type"] in ("SerializationException", "ValidationException")


def test_numbers_beyond_all_measure(door: Served) -> None:
    huge = b"9" * 900
    plan = PLAN_ID.encode()
    score = b'{"RescoreExecutionPlanId": "%b", "SearchQuery": "q", "Documents": [%b]}' % (
        plan,
        b'{"Id": "d", "OriginalScore": %b}' % huge,
    )
    assert door.call("Rescore", score).status == 200
    assert door.call("ListRescoreExecutionPlans", b'{"MaxResults": %b}' % huge).error == VALIDATION
    units = b'{"Name": "n", "CapacityUnits": {"RescoreCapacityUnits": %b}}' % huge
    assert door.call("CreateRescoreExecutionPlan", units).error == (
        400,
        "ServiceQuotaExceededException",
    )


def test_ten_thousand_documents(door: Served) -> None:
    documents = [document(f"d{n}", "some text") for n in range(10_000)]
    assert door.rescore(documents).error == VALIDATION
    grouped = [{**one, "GroupId": f"g{n % 25}"} for n, one in enumerate(documents)]
    assert len(door.rescore(grouped).json["ResultItems"]) == 25


def test_a_body_of_3000_characters(door: Served) -> None:
    assert door.rescore([document("d", "b" * 3000)]).error == VALIDATION


def test_a_body_that_is_too_large_is_refused_while_it_comes(serve: Serve) -> None:
    door = serve(max_body_mb=1)
    most = 1 << 20
    head = f'{{"Name": "n", "X": "{"x" * (most - 22)}"}}'.encode()
    assert len(head) == most
    assert door.call("CreateRescoreExecutionPlan", head).status == 200
    assert door.call("CreateRescoreExecutionPlan", head + b" ").error == SERIALIZATION


@pytest.mark.parametrize("chunk", [b"zz\r\n{}\r\n", b"-1\r\n\r\n", b"5;\x00\r\n{}"])
def test_chunks_that_are_none(door: Served, chunk: bytes) -> None:
    head = (
        f"POST /rescore-execution-plans/{PLAN_ID}/rescore/ HTTP/1.1\r\nHost: x\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.sendall(head.encode() + chunk + b"0\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 400
        assert b"Traceback" not in answer.read()


def test_a_client_that_leaves_in_the_middle_of_its_body(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        f"POST /rescore-execution-plans/{PLAN_ID}/rescore HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 100\r\n\r\n{"
    )
    with serving(tmp_path) as door:
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
            connection.sendall(head.encode())
        assert door.rescore([document("d", "text")]).status == 200
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_body_that_is_far_too_large_is_answered_all_the_same(serve: Serve) -> None:
    door = serve(max_body_mb=1)
    assert door.call("Rescore", b" " * (20 << 20)).error == SERIALIZATION


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("fuzzed"), max_plans=5) as served:
        yield served


# To run it for a minute: KENDRA_RANKING_FUZZ=20000 pytest -k any_request
@settings(
    max_examples=int(os.environ.get("KENDRA_RANKING_FUZZ", "150")),
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize="KENDRA_RANKING_FUZZ" not in os.environ,
)
@given(requests())
def test_any_request_gets_an_answer_or_a_modelled_error(fuzzed: Served, request: Request) -> None:
    answer = fuzzed.send(request.method, request.target, request.body, request.fields)
    is_cbor = answer.fields["content-type"] == "application/cbor"
    members = cbor2.loads(answer.body) if is_cbor else json.loads(answer.body)
    if answer.status != 200:
        assert (answer.status < 500, members["__type"] in ERRORS) == (True, True), members
        assert members["message"].isprintable()
        assert len(members["message"]) <= 2048
