"""What the front gets: requests that are the same whatever was made of their bodies."""

from __future__ import annotations

from sidecar.relay.front import Request
from sidecar.relay.heads import parse_request_head


def test_what_the_front_made_of_a_body_is_no_part_of_the_request() -> None:
    head = parse_request_head(b"POST /i/_search HTTP/1.1\r\n\r\n")
    request = Request(head, b"{}")
    request.decoded.append(b"{}")
    assert request == Request(head, b"{}")
    assert Request(head, b"{}").decoded == []
