"""Bodies that are late, broken, coded or too large: every door answers in its own form."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api_doors import DOORS, Door, ask, connected, serving_doors
from tests.raw_http import read_response
from tests.running import Sidecar, request

CHUNKED = "Transfer-Encoding: chunked"
GZIP = gzip.compress(b'{"query": "q"}' * 100)
DEFLATE = zlib.compress(b'{"query": "q"}' * 100)

BROKEN = {
    "not deflate": (b"\xff\xff nothing", "Content-Encoding: deflate"),
    "half of deflate": (DEFLATE[:20], "Content-Encoding: deflate"),
    "deflate and more": (DEFLATE + b"more", "Content-Encoding: deflate"),
    "not gzip": (b"nothing at all", "Content-Encoding: gzip"),
    "half of gzip": (GZIP[:20], "Content-Encoding: gzip"),
    "wrong checksum": (GZIP[:-6] + b"\0\0\0\0\0\0", "Content-Encoding: gzip"),
    "gzip and more": (GZIP + b"more", "Content-Encoding: gzip"),
    "brotli": (b"\x0b\x02\x80{}\x03", "Content-Encoding: br"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "Content-Encoding: zstd"),
    "an unknown coding": (b"{}", "Content-Encoding: rot13"),
    "no word": (b"{}", "Content-Encoding: \xe9"),
    "one coding of two": (GZIP, "Content-Encoding: deflate, gzip"),
    "three codings": (b"{}", "Content-Encoding: gzip, gzip, gzip"),
}
FRAMING = {
    "no size": b"xyz\r\n{}\r\n",
    "a chunk longer than it says": b"2\r\n{}{}\r\n0\r\n\r\n",
    "a negative size": b"-1\r\n{}\r\n",
    "garbage behind a chunk": b"2\r\n{}\r\n\0\0\0\0\r\n",
    "an endless size": b"fffffffffffffffffffff\r\n{}\r\n",
    "chunks of one byte": b"1\r\n \r\n" * 5000,
}


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with serving_doors(tmp_path_factory.mktemp("doors"), body_timeout_ms=60_000) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """One that waits for little."""
    folder = tmp_path_factory.mktemp("hasty")
    with serving_doors(folder, body_timeout_ms=300, header_timeout_ms=300) as running:
        yield running


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What clients do wrong leaves no traceback behind, and at most a line."""
    with caplog.at_level(logging.INFO):
        yield
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_coding_that_is_broken_or_unknown(sidecar: Sidecar, door: Door, fault: str) -> None:
    body, field = BROKEN[fault]
    answer = ask(sidecar.api, door.post(body, field))
    assert door.reason(answer) == door.words["malformed"]
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    in_chunks = ask(sidecar.api, door.head(field, CHUNKED) + framed)
    assert door.reason(in_chunks) == door.words["malformed"]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("fault", FRAMING)
def test_framing_that_is_broken(sidecar: Sidecar, door: Door, fault: str) -> None:
    at_once = ask(sidecar.api, door.head(CHUNKED) + FRAMING[fault])
    assert door.reason(at_once) == door.words["malformed"]
    with connected(sidecar.api) as connection:
        # The head is being handled when the rest comes.
        connection.sendall(door.head(CHUNKED) + b"2\r\n{}\r\n")
        assert request(sidecar.api, "GET", "/healthz").status == 200
        connection.sendall(FRAMING[fault])
        with connection.makefile("rb") as stream:
            answer = read_response(stream)
            assert door.reason(answer) == door.words["malformed"]
            assert stream.read() == b""


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_body_that_ends_before_its_length(sidecar: Sidecar, door: Door) -> None:
    answer = ask(sidecar.api, door.head("Content-Length: 100") + b"{}", ends=True)
    assert door.reason(answer) == door.words["malformed"]
    answer = ask(sidecar.api, door.head(CHUNKED) + b"2\r\n{}\r\n", ends=True)
    assert door.reason(answer) == door.words["malformed"]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_body_that_stops_half_way(hasty: Sidecar, door: Door) -> None:
    before = hasty.metric("api_given_up_total", reason="body_timeout")
    answer = ask(hasty.api, door.head("Content-Length: 100") + b"{")
    assert door.reason(answer) == door.words["late"]
    assert answer.values("Connection") == ["close"]
    assert hasty.metric("api_given_up_total", reason="body_timeout") == before + 1


def test_a_body_that_comes_byte_by_byte(hasty: Sidecar) -> None:
    door = DOORS[0]
    answered = threading.Event()
    with connected(hasty.api) as connection:
        connection.sendall(door.head("Content-Length: 1000000") + b"{")

        def drip() -> None:
            while not answered.wait(0.01):
                try:
                    connection.send(b" ")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            with connection.makefile("rb") as stream:
                assert door.reason(read_response(stream)) == door.words["late"]
        finally:
            answered.set()
            dripping.join()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_bomb_is_too_large(sidecar: Sidecar, door: Door) -> None:
    bomb = gzip.compress(b"{" + b" " * (64 << 20))
    answer = ask(sidecar.api, door.post(bomb, "Content-Encoding: gzip"))
    assert door.reason(answer) == door.words["too_large"]
    twice = gzip.compress(bomb)
    assert len(twice) < 1000
    answer = ask(sidecar.api, door.post(twice, "Content-Encoding: gzip, gzip"))
    assert door.reason(answer) == door.words["too_large"]
    members = gzip.compress(b"") * 20_000
    answer = ask(sidecar.api, door.post(members, "Content-Encoding: gzip"))
    assert answer.status in (200, 400, 422)


def test_codings_are_undone(sidecar: Sidecar) -> None:
    body = json.dumps({"query": "copper kettle", "documents": ["spoon", "copper kettle"]}).encode()
    halves = gzip.compress(body[:20]) + gzip.compress(body[20:])
    raw = zlib.compressobj(wbits=-15)
    for coded, coding in (
        (body, "identity"),
        (gzip.compress(body), "GZIP"),
        (gzip.compress(body), "x-gzip"),
        (halves, "gzip"),
        (zlib.compress(body), "deflate"),
        (raw.compress(body) + raw.flush(), "deflate"),
        (gzip.compress(zlib.compress(body)), "deflate, gzip"),
        (gzip.compress(body), "identity, gzip"),
    ):
        answer = ask(sidecar.api, DOORS[0].post(coded, f"Content-Encoding: {coding}"))
        assert [item["index"] for item in json.loads(answer.body)["results"]] == [1, 0], coding


def test_a_coding_without_a_body_is_no_matter(sidecar: Sidecar) -> None:
    for path in ("/healthz", "/metrics", f"/rescore-execution-plans?x={'y' * 1000}"):
        line = f"GET {path} HTTP/1.1\r\nHost: s\r\nContent-Encoding: gzip\r\n\r\n"
        assert ask(sidecar.api, line.encode()).status == 200


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_body_that_cannot_be_read_is_logged_in_one_line(
    sidecar: Sidecar, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    for fault in ("half of deflate", "not gzip", "brotli", "zstd"):
        caplog.clear()
        body, field = BROKEN[fault]
        ask(sidecar.api, door.post(body, field))
        (record,) = (one for one in caplog.records if one.name.startswith("sidecar"))
        assert "request body" in record.getMessage()
        assert "\n" not in record.getMessage()


def test_what_is_not_http_gets_a_400_and_a_line(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    for garbage in (b"\x16\x03\x01\x02\0\x01\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        assert ask(sidecar.api, garbage).status == 400
    lines = [record for record in caplog.records if record.name == "sidecar.api.connection"]
    assert 1 <= len(lines) <= 3
    assert all("\n" not in record.getMessage() for record in lines)


def test_the_oldest_body_that_is_still_coming_gives_way(tmp_path: Path) -> None:
    # 16 MiB of memory, and bodies of 4 MiB at most: the fifth is one too many.
    door = DOORS[0]
    size = (4 << 20) - 100
    half = door.head(f"Content-Length: {size}") + b" " * (size - 1)
    with serving_doors(tmp_path, api_unfinished_mb=16) as sidecar:
        with connected(sidecar.api) as oldest, oldest.makefile("rb") as stream:
            oldest.sendall(half)
            others = [connected(sidecar.api) for _ in range(4)]
            entered = [other.__enter__() for other in others]
            for client in entered:
                client.sendall(half)
            assert door.reason(read_response(stream)) == door.words["crowded"]
            for other in others:
                other.__exit__(None, None, None)
        whole = ask(sidecar.api, door.post(b'{"query": "q", "documents": ["q"]}'))
        assert whole.status == 200
        assert sidecar.metric("api_given_up_total", reason="memory") == 1
