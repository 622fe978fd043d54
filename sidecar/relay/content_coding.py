"""Gzip and deflate, for the few bodies that are read; all others pass in their coding."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 3  # OpenSearch's own


class UndecodableBody(ValueError):
    """The body is not in the coding that its head names, or the coding is not known here."""


class DecodedTooLarge(ValueError):
    """The decoded body has more bytes than allowed."""


def decode_content(body: bytes, coding: bytes | None, *, limit: int) -> bytes:
    """Undo a `Content-Encoding` value; `limit` is the most bytes that may come out.

    Raises UndecodableBody or DecodedTooLarge. `deflate` is the zlib format or, as many senders
    have it, raw deflate (RFC 9110, section 8.4.1.2).
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
    """Apply `gzip` or `deflate` (the zlib format) at OpenSearch's level.

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
    while True:
        inflater = zlib.decompressobj(window)
        try:
            out += inflater.decompress(body, limit - len(out) + 1)
        except zlib.error:
            raise UndecodableBody("the body is not in the content coding it names") from None
        if len(out) > limit:
            raise DecodedTooLarge(f"the decoded body is larger than {limit} bytes")
        if not inflater.eof:
            raise UndecodableBody("the compressed body ends early")
        # A gzip body may have several members (RFC 1952, section 2.2).
        body = inflater.unused_data
        if not body:
            return bytes(out)
        if window != _GZIP_WINDOW:
            raise UndecodableBody("there is something behind the compressed body")
