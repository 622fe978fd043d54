"""Reads one section of a search's `ext`, and cuts it out.

OpenSearch refuses a section that none of its plugins knows. So a section for the sidecar must not
reach it.
"""

from __future__ import annotations

from typing import Any, Final

from sidecar.relay.heads import RequestHead
from sidecar.spans.json_amounts import has_more_values
from sidecar.spans.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    read_unique_value,
    replace_spans,
    spans_of_members,
)

_ABOUT_THE_OLD_BODY: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"trailer", b"content-encoding", b"expect")
)


def read_ext_section(body: bytes, name: str, most_values: int) -> tuple[Any, bytes] | None:
    """The section `ext.NAME` of a decoded JSON body, and the body without it.

    None if there is no such section, if the body is not strict JSON, or if it has more than
    `most_values` values. All other bytes stay; an `ext` without other sections is cut out too.
    """
    if has_more_values(body, most_values):
        return None
    try:
        text = body.decode()
        members = read_document(text, _read_body)
    except (UnicodeDecodeError, NotJson):
        return None
    ext = members.get("ext")
    if ext is None or name not in ext.value:
        return None
    if len(ext.value) > 1:
        spans = spans_of_members(text, ext.start, ext.value, (name,))
    else:
        spans = spans_of_members(text, text.index("{"), members, ("ext",))
    cut = replace_spans(text, [(*span, "") for span in spans]).encode()
    return ext.value[name].value, cut


def write_head_for(head: RequestHead, body: bytes) -> RequestHead:
    """The head, with the fields that suit a new body without content coding."""
    other_fields = [field for field in head.fields if field[0] not in _ABOUT_THE_OLD_BODY]
    length = (b"content-length", b"Content-Length: %d" % len(body))
    return head.replace(fields=(*other_fields, length), framing=len(body))


def _read_body(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, readers={"ext": _read_ext}, other=read_unique_value)


def _read_ext(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=read_unique_value)
