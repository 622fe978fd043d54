"""Gzip and deflate, for the few bodies that the sidecar reads; others pass in their coding."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 3  # OpenSearch's own

MEMBERS_LIMIT: Final = 1000
"""Maximum number of members in a gzip body. Parallel compressors put at least 64 KiB of text into a
member, so this many members hold at least 62 MiB."""

# zlib copies the input that follows the end of a member, so each piece of input is short.
_BLOCK: Final = 16 << 10


class UndecodableBody(ValueError):
    """The body is not in the coding that its head names, or this coding is not supported."""


class DecodedTooLarge(ValueError):
    """The decoded body has more bytes than allowed."""


def decode_content(body: bytes, coding: bytes | None, *, limit: int) -> bytes:
    """Decode a body; `coding` is a `Content-Encoding` value, `limit` the maximum decoded bytes.

    Raises UndecodableBody or DecodedTooLarge. `deflate` is the zlib format or raw deflate, which
    many senders use instead (RFC 9110, section 8.4.1.2).
    """
    coding = (coding or b"identity").strip().lower()
    if coding in (b"identity", b""):
        if len(body) > limit:
            raise DecodedTooLarge(f"the body is larger than {limit} bytes")
        return body
    if coding in (b"gzip", b"x-gzip"):
        return _inflate(body, _GZIP_WINDOW, limit)
    if coding == b"deflate":
        looks_like_zlib = (
            len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        )
        return _inflate(body, zlib.MAX_WBITS if looks_like_zlib else -zlib.MAX_WBITS, limit)
    raise UndecodableBody("the content coding is not gzip, deflate or identity")


def encode_content(body: bytes, coding: bytes) -> bytes:
    """Encode a body as `gzip` or `deflate` (the zlib format) at OpenSearch's compression level.

    Raises UndecodableBody for another coding.
    """
    coding = coding.strip().lower()
    if coding in (b"gzip", b"x-gzip"):
        return gzip.compress(body, compresslevel=_LEVEL, mtime=0)
    if coding == b"deflate":
        return zlib.compress(body, _LEVEL)
    if coding == b"identity":
        return body
    raise UndecodableBody("the content coding is not gzip, deflate or identity")


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    out = bytearray()
    view = memoryview(body)
    at = 0
    # A gzip body may have several members (RFC 1952, section 2.2).
    for _ in range(MEMBERS_LIMIT if window == _GZIP_WINDOW else 1):
        at = _inflate_member(view, at, window, limit, out)
        if at == len(view):
            return bytes(out)
    if window == _GZIP_WINDOW:
        raise UndecodableBody(f"the compressed body has more than {MEMBERS_LIMIT} members")
    raise UndecodableBody("bytes follow the compressed body")


def _inflate_member(view: memoryview, at: int, window: int, limit: int, out: bytearray) -> int:
    """Decode one member and append it to `out`; return the offset where the next one begins."""
    inflater = zlib.decompressobj(window)
    while not inflater.eof:
        if at == len(view):
            raise UndecodableBody("the compressed body ends early")
        block = view[at : at + _BLOCK]
        at += len(block)
        try:
            out += inflater.decompress(block, limit - len(out) + 1)
        except zlib.error:
            raise UndecodableBody("the body is not in the content coding it names") from None
        if len(out) > limit:
            raise DecodedTooLarge(f"the decoded body is larger than {limit} bytes")
    return at - len(inflater.unused_data)
