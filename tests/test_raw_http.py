"""The raw client over real sockets, answered by a server that sends given bytes and closes."""

from __future__ import annotations

import io
import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.raw_http import RawResponse, mask_content_length, mask_took, read_response, send

Ask = Callable[[bytes, bytes], RawResponse]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Send a request to a server that gives the wanted answer."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline() != b"\r\n":
                pass
            self.wfile.write(server.answer)

    class Server(socketserver.TCPServer):
        answer = b""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def ask(request: bytes, answer: bytes) -> RawResponse:
            server.answer = answer
            return send("127.0.0.1", server.server_address[1], request)

        yield ask
        server.shutdown()
        thread.join()


GET = b"GET / HTTP/1.1\r\n\r\n"


def test_content_length(ask: Ask) -> None:
    head = b"HTTP/1.1 200 OK\r\nA: 1\r\na:  2 \r\ncontent-length: 3\r\n\r\n"
    response = ask(GET, head + b"abc")
    assert response == RawResponse(head, b"abc", head + b"abc")
    assert response.status == 200
    assert response.values("A") == ["1", "2"]


def test_chunks_with_extension_and_trailer(ask: Ask) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    framed = b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n"
    assert ask(GET, head + framed) == RawResponse(head, b"abcd", head + framed)


def test_answer_to_head_has_no_body(ask: Ask) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    assert ask(b"HEAD / HTTP/1.1\r\n\r\n", head) == RawResponse(head, b"", head)


def test_no_content(ask: Ask) -> None:
    head = b"HTTP/1.1 204 No Content\r\n\r\n"
    assert ask(GET, head) == RawResponse(head, b"", head)


def test_body_until_close(ask: Ask) -> None:
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    assert ask(GET, head + b"abc") == RawResponse(head, b"abc", head + b"abc")


def test_interim_response_stays_in_raw(ask: Ask) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    assert ask(GET, interim + head + b"a") == RawResponse(head, b"a", interim + head + b"a")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
    ids=["nothing", "head", "length", "chunks"],
)
def test_cut_answer_is_an_error(ask: Ask, answer: bytes) -> None:
    with pytest.raises(EOFError):
        ask(GET, answer)


def test_two_lengths_are_an_error() -> None:
    stream = io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
    with pytest.raises(ValueError, match="1, 2"):
        read_response(stream)


def test_responses_are_read_one_by_one() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    two = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    stream = io.BytesIO(one + two)
    assert [read_response(stream).raw, read_response(stream).raw] == [one, two]


def test_masks() -> None:
    assert mask_took(b'{"took":17,"r":[{"took" : 3}]}') == b'{"took":0,"r":[{"took" : 0}]}'
    assert mask_took(b"---\ntook: 17\n") == b"---\ntook: 0\n"
    assert mask_took(b'{"ingest_took":17}') == b'{"ingest_took":17}'
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 123\r\nx: 1\r\n\r\n"
    assert mask_content_length(head) == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: 1\r\n\r\n"
