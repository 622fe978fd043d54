"""What the front gets: a request whose body is decoded once."""

from __future__ import annotations

import gzip

import pytest

from sidecar.relay.content_coding import DecodedTooLarge, UndecodableBody
from sidecar.relay.front import CONTENT_LIMIT, Request
from sidecar.relay.heads import parse_request_head


def _request(body: bytes, coding: bytes) -> Request:
    head = b"POST /i/_search HTTP/1.1\r\nContent-Encoding: " + coding + b"\r\n\r\n"
    return Request(parse_request_head(head), body)


def test_a_body_is_decoded_once() -> None:
    body = gzip.compress(b'{"size": 3}')
    request = _request(body, b"gzip")
    assert request.content == b'{"size": 3}'
    assert request.content is request.content
    assert request.body == body


def test_a_body_that_cannot_be_decoded_says_so_each_time() -> None:
    broken = _request(b"{}", b"gzip")
    bomb = _request(gzip.compress(bytes(CONTENT_LIMIT + 1), 1), b"gzip")
    for _ in range(2):
        with pytest.raises(UndecodableBody):
            _ = broken.content
        with pytest.raises(DecodedTooLarge):
            _ = bomb.content
