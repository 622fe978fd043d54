"""What two answers to one request may differ in: a node's own measurements, and names that it
draws anew each time."""

from __future__ import annotations

import gzip
import json
import re
import zlib

from tests.raw_http import RawResponse, mask_took

_SECTIONS = re.compile(rb'"(?:profile|phase_took)"\s*:\s*(?=\{)')
_DRAWN = re.compile(rb'("?(?:_scroll_id|pit_id|stack_trace)"?\s*:\s*)"(?:[^"\\]|\\.)*"')
_SEVERAL_TIMES = (b"profile", b"phase_took", b"responses", b"stack_trace")
# The key, then a number as CBOR and SMILE write it.
_BINARY_TOOK = re.compile(
    rb"(dtook)(?:[\x00-\x17]|\x18.|\x19..|\x1a.{4})|(\x83took)(?:[\xc0-\xdf]|\x24[\x00-\x7f]*[\x80-\xbf])",
    re.DOTALL,
)
_MEASURED_FIELD = re.compile(rb"(?im)^(TASK_RESOURCE_USAGE:).*?\r$")

# X-Rescore is the proxy's own; Connection is about one connection alone; and OpenSearch warns of a
# deprecated spelling once, whoever asks first.
_LEFT_OUT = (b"x-rescore", b"connection", b"warning")


def field_lines(response: RawResponse) -> list[bytes]:
    """The head's lines in order, without what may differ and the number of Content-Length."""
    head = _MEASURED_FIELD.sub(rb"\1\r", response.head)
    lines = []
    for line in head.split(b"\r\n"):
        name = line.partition(b":")[0].lower()
        if name == b"content-length":
            line = line.partition(b":")[0]
        if name not in _LEFT_OUT:
            lines.append(line)
    return lines


def masked_body(response: RawResponse) -> bytes:
    """The body, decoded, with all that may differ masked."""
    if _coding(response) not in ("", "identity", "gzip", "deflate"):
        # Such as snappy, for `Accept-Encoding: *`. Only the proxy's own forwarding is behind it.
        return b"(a coding that is not undone here)"
    return mask(decoded_body(response), is_json=_is_json(response))


def decoded_body(response: RawResponse) -> bytes:
    """The body without its content coding."""
    coding = _coding(response)
    if coding == "gzip":
        return gzip.decompress(response.body)
    return zlib.decompress(response.body) if coding == "deflate" else response.body


def encoded_body(response: RawResponse, body: bytes) -> bytes:
    """The reverse of `decoded_body`, for another body of the response."""
    coding = _coding(response)
    if coding == "gzip":
        return gzip.compress(body, mtime=0)
    return zlib.compress(body) if coding == "deflate" else body


def mask(body: bytes, *, is_json: bool) -> bytes:
    """The same for the text of a body, or a part of it."""
    if not is_json and any(name in body for name in _SEVERAL_TIMES):
        return b"(times that are not in JSON)"
    body = mask_took(body)
    if not is_json:
        body = _BINARY_TOOK.sub(rb"\1\2", body)
    elif _SECTIONS.search(body):
        body = _mask_sections(body)
    return _DRAWN.sub(rb'\1""', body)


def _mask_sections(body: bytes) -> bytes:
    # Every byte is one character of Latin-1, so offsets stay those of the bytes.
    text = body.decode("latin-1")
    decoder = json.JSONDecoder(strict=False)
    pieces = []
    behind = 0
    for found in _SECTIONS.finditer(body):
        if found.end() >= behind:
            pieces.append(body[behind : found.end()] + b"null")
            _, behind = decoder.raw_decode(text, found.end())
    return b"".join([*pieces, body[behind:]])


def _coding(response: RawResponse) -> str:
    return ",".join(response.values("Content-Encoding")).lower()


def _is_json(response: RawResponse) -> bool:
    return any("json" in value.lower() for value in response.values("Content-Type"))
