"""Which sections leave the items of an `_msearch`, and what is left of their deadlines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.config.limits import Limits
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.rescore_section import NO_SECTION, RescoreSection, SectionMistake
from sidecar.opensearch.routed_items import UbiUse, read_routed_items
from sidecar.relay.front import Request
from sidecar.relay.heads import parse_request_head

UBI = '"ubi":{"query_id":"q"}'
BOTH = f'{{"index":"a"}}\n{{"ext":{{"rescore":{{"off":true}},{UBI}}}}}\n'
OTHER = f'{{"index":"b"}}\n{{"ext":{{{UBI}}}}}\n'


def context_of(
    names: Sequence[str], section: RescoreSection | SectionMistake = NO_SECTION
) -> Outcome | None:
    return Outcome("plan", "skipped", "off") if tuple(names) == ("a",) else None


@pytest.mark.parametrize(
    ("ubi_use", "sent", "read"),
    [("ignore", f"{{{UBI}}}", 0), ("keep", f"{{{UBI}}}", 1), ("cut", None, 1)],
)
@pytest.mark.parametrize("signed", [False, True])
def test_sections_leave_the_items_of_routed_indexes(
    ubi_use: UbiUse, sent: str | None, read: int, signed: bool
) -> None:
    authorization = "Authorization: AWS4-HMAC-SHA256 x\r\n" if signed else ""
    fields = f"Host: x\r\nContent-Type: application/x-ndjson\r\n{authorization}\r\n"
    head = parse_request_head(f"POST /_msearch HTTP/1.1\r\n{fields}".encode())
    body = (BOTH + OTHER).encode()
    request = Request(head, body, "192.0.2.1")
    routed = read_routed_items(request, body, (), context_of, Limits(), ubi_use)
    assert [one.query_id for one in routed.ubi.values()] == ["q"] * read
    if signed:
        assert routed.instead is None
        return
    line = "{}" if sent is None else f'{{"ext":{sent}}}'
    assert routed.instead is not None
    assert routed.instead.body.decode() == f'{{"index":"a"}}\n{line}\n{OTHER}'
    assert routed.instead.client_address == "192.0.2.1"
