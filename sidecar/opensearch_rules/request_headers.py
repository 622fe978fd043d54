"""The headers that forbid editing a request to OpenSearch, or reading its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecar.relay.heads import RequestHead


@dataclass(frozen=True, slots=True)
class SearchHeaders:
    """The header values that decide whether a request may be edited; None for a missing header.

    The values of a header that was sent several times are joined by commas (RFC 9110, section
    5.3).
    """

    content_type: bytes | None = None
    accept: bytes | None = None
    authorization: bytes | None = None
    x_amz_content_sha256: bytes | None = None
    x_rescore_query: bytes | None = None


def read_headers(head: RequestHead) -> SearchHeaders:
    """The header values that decide whether the request may be edited."""
    return SearchHeaders(
        content_type=b", ".join(head.get_all(b"content-type")) or None,
        accept=b", ".join(head.get_all(b"accept")) or None,
        authorization=head.get(b"authorization"),
        x_amz_content_sha256=head.get(b"x-amz-content-sha256"),
        x_rescore_query=head.get(b"x-rescore-query"),
    )


def find_forbidding_header(headers: SearchHeaders, has_body: bool) -> str | None:
    """The reason why the headers forbid an edit, or forbid reading the answer; None if they do not.

    The reason is `signed`, `content_type` or `reply_format`, as in the `X-Rescore` header.
    """
    if headers.x_amz_content_sha256 is not None or (headers.authorization or b"").startswith(
        b"AWS4-"
    ):
        return "signed"
    # OpenSearch answers in the format of the request's body unless `Accept` names another one. It
    # ignores an `Accept` that it does not know.
    if headers.content_type is not None or has_body:
        media_type, _, parameters = (headers.content_type or b"").lower().partition(b";")
        charset = re.search(rb'charset\s*=\s*"?([^\s";]*)', parameters)
        # A comma means that the header was sent several times, which OpenSearch refuses.
        if (
            b"," in (headers.content_type or b"")
            or not re.fullmatch(rb"\s*application/(?:[\w.-]+\+)?json\s*", media_type)
            or (charset and charset[1] not in (b"utf-8", b"utf8"))
        ):
            return "content_type"
    if re.search(rb"yaml|cbor|smile|csv|event-stream", (headers.accept or b"").lower()):
        return "reply_format"
    return None
