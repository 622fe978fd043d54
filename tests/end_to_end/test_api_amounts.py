"""Amounts that a stranger chooses: each door refuses them in its own form, and holds up nobody.

What is measured is the CPU time of the event loop's thread, callback by callback.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator

import cbor2
import pytest

from tests.api_doors import DOORS, PLAN_ID, Door, ask, serving_doors
from tests.loop_cpu import LoopCpu, measured_loop
from tests.running import Sidecar

MOST_SECONDS = 0.020

JSON_DOORS = [door for door in DOORS if door.name != "ranking-cbor"]
CBOR = next(door for door in DOORS if door.name == "ranking-cbor")
SIZE = (4 << 20) - 1000

QUERY = {
    "query": "q",
    "Query": "q",
    "QueryText": "q",
    "SearchQuery": "q",
    "IndexId": "11111111-2222-4333-8444-555555555555",
    "RescoreExecutionPlanId": PLAN_ID,
}


def with_members(text: str) -> bytes:
    """A body that has each door's query, and this JSON as everything that may be long."""
    names = ("documents", "texts", "Docs", "Documents", "AttributeFilter", "Facets", "x")
    size = (SIZE - 1000) // len(names)
    start = json.dumps(QUERY)[:-1]
    long = text * (size // len(text))
    return ("".join([start, *(f', "{name}": [{long}1]' for name in names)]) + "}").encode()


BODIES: dict[str, Callable[[], bytes]] = {
    "arrays in arrays": lambda: b"[" * SIZE,
    "objects in objects": lambda: b'{"a":' * (SIZE // 5),
    "nested within the bound": lambda: b'{"query":' + b"[" * 900 + b"]" * 900 + b"}",
    "numbers": lambda: with_members("1,"),
    "empty objects": lambda: with_members("{},"),
    "empty arrays": lambda: with_members("[],"),
    "short strings": lambda: with_members('"a",'),
    "small documents": lambda: with_members('{"Id":"a","text":"a","OriginalScore":1},'),
    "half a million attributes": lambda: (
        "{" + ",".join(f'"{n:x}":1' for n in range(500_000)) + "}"
    ).encode()[:SIZE],
    "digits": lambda: b'{"query": ' + b"1" * (SIZE - 20) + b"}",
    "digits behind a point": lambda: b'{"query": 0.' + b"1" * (SIZE - 20) + b"}",
    "one string": lambda: b'{"query": "' + b"a" * (SIZE - 20) + b'"}',
    "one name": lambda: b'{"' + b"a" * (SIZE - 20) + b'": 1}',
    "escapes": lambda: b'{"query": "' + b"\\u00e9" * (SIZE // 6 - 9) + b'"}',
    "backslashes": lambda: b'{"query": "' + b"\\" * (SIZE - 30) + b'"}',
    "quotation marks of the text": lambda: b'{"query": "' + b'\\",' * (SIZE // 3 - 9) + b'"}',
    "no end of a string": lambda: b'{"query": "' + b",[" * (SIZE // 2 - 9),
    "blanks": lambda: b" " * SIZE,
    "no UTF-8": lambda: b"\xff" * SIZE,
}


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with serving_doors(tmp_path_factory.mktemp("doors")) as running:
        yield running


@pytest.fixture(scope="module")
def measured(sidecar: Sidecar) -> Iterator[LoopCpu]:
    with measured_loop("sidecar") as loop:
        yield loop


@pytest.fixture(autouse=True)
def quick(measured: LoopCpu) -> Iterator[None]:
    """Whatever a test sends, no callback of the loop takes long."""
    measured.reset()
    yield
    assert measured.longest < MOST_SECONDS, measured.ran


def assert_refused(door: Door, answer_reason: str) -> None:
    assert not answer_reason.startswith("5"), f"{door.name}: {answer_reason}"


@pytest.mark.parametrize("door", JSON_DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("amount", BODIES)
def test_bodies(sidecar: Sidecar, door: Door, amount: str) -> None:
    body = BODIES[amount]()
    assert_refused(door, door.reason(ask(sidecar.api, door.post(body))))
    packed = door.post(gzip.compress(body, 1), "Content-Encoding: gzip")
    assert_refused(door, door.reason(ask(sidecar.api, packed)))


@pytest.mark.parametrize(
    "body",
    [
        b"\x81" * SIZE,
        b"\x9f" * SIZE,
        b"\xa1\x61a" * (SIZE // 3),
        b"\x9a\x00\x3f\x00\x00" + b"\x00" * (0x3F0000),
        b"\xa1\x61a\x9f" + b"\xa0" * (SIZE - 10) + b"\xff",
        b"\xbf" + b"".join(b"\x62%02x\x00" % (n % 256) for n in range(SIZE // 5)) + b"\xff",
        b"\xbf" + b"".join(b"\x1b" + n.to_bytes(8) + b"\0" for n in range(SIZE // 10)) + b"\xff",
        b"\xbf" + b"".join(b"\x81\x1a" + n.to_bytes(4) + b"\0" for n in range(SIZE // 8)) + b"\xff",
        b"\xa1\x61a\x7f" + b"\x60" * (SIZE - 10) + b"\xff",
        b"\xc1" * SIZE,
        b"\xa1\x61a\x7b" + b"\xff" * 8,
        b"\xa1\x61a\x9b\x7f" + b"\xff" * 7,
        cbor2.dumps({"SearchQuery": "q" * (SIZE - 100)}),
    ],
    ids=lambda body: repr(body[:8]),
)
def test_cbor_bodies(sidecar: Sidecar, body: bytes) -> None:
    assert_refused(CBOR, CBOR.reason(ask(sidecar.api, CBOR.post(body))))


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize(
    "lines",
    [
        [f"X-{n}: {'x' * 500}" for n in range(90)],
        [f"Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders={'a;' * 3000}a"],
        [
            "Authorization: TC3-HMAC-SHA256 Credential=a/2024-05-22/lkeap/tc3_request, "
            f"SignedHeaders=content-type;host;{'a;' * 3000}, Signature=0"
        ],
        [f"Accept: {',' * 8000}"],
        [f"Content-Language: {';a=b' * 2000}"],
        [f"Cookie: {'a=b;' * 2000}"],
        [f"Content-Encoding: {',' * 8000}"],
    ],
    ids=lambda lines: lines[0][:16],
)
def test_heads(sidecar: Sidecar, door: Door, lines: list[str]) -> None:
    assert_refused(door, door.reason(ask(sidecar.api, door.post(b"{}", *lines))))


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("part", ["&", "a&", "a=%41&", "Docs.1=a&", "&&&&Action=&"])
def test_queries(sidecar: Sidecar, door: Door, part: str) -> None:
    query = part * (31_000 // len(part))
    start = f"POST {door.target}?{query} HTTP/1.1".encode()
    whole = door.post(b"{}").partition(b"\r\n")[2]
    assert ask(sidecar.api, start + b"\r\n" + whole).status < 500


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "part",
    ["/", "/a", "/rescore-execution-plans", "/rescore-execution-plans/a/rescore", "/%2e%2e", "/.."],
)
def test_paths(sidecar: Sidecar, method: str, part: str) -> None:
    path = part * (31_000 // len(part))
    line = f"{method} {path} HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\n{{}}"
    assert ask(sidecar.api, line.encode()).status < 500


@pytest.mark.parametrize("size", [1, 2, 8, 63, 64])
def test_chunks(sidecar: Sidecar, size: int) -> None:
    door = DOORS[0]
    chunk = b"%x\r\n%b\r\n" % (size, b" " * size)
    chunks = chunk * ((1 << 20) // size) + b"0\r\n\r\n"
    answer = ask(sidecar.api, door.head("Transfer-Encoding: chunked") + chunks)
    assert door.reason(answer) == door.words["malformed"]


def test_tags(sidecar: Sidecar) -> None:
    target = "AWSKendraRerankingFrontendService.CreateRescoreExecutionPlan"
    tags = [{"Key": f"{n:x}", "Value": ""} for n in range(33_000)]
    body = json.dumps({"Name": "n", "Tags": tags}).encode()
    door = next(door for door in DOORS if door.name == "ranking-json")
    named = Door(door.name, "/", door.reason, door.words, {"X-Amz-Target": target})
    assert door.reason(ask(sidecar.api, named.post(body))) == "400 ValidationException"
