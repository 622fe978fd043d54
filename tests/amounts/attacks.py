"""What one attack is, and the bodies that attacks are built of.

Sizes are drawn on a logarithmic scale, so that small and large amounts come alike often, and are
powers of two at most: what is costly to make is made once.
"""

from __future__ import annotations

import functools
import gzip
import json
import random
import zlib
from dataclasses import dataclass
from typing import Literal

from tests.amounts.process import INDEX

Listener = Literal["proxy", "api"]
SEARCH_PATH = f"/{INDEX}/_search"
JSON = "Content-Type: application/json"


@dataclass(frozen=True, slots=True)
class Attack:
    """Bytes for one listener, and how many answers they are owed; 0 for a half request."""

    raw: bytes
    amount: int
    to: Listener = "proxy"
    answers: int = 1


def draw(chance: random.Random, most: int, least: int = 1) -> int:
    """A power of two from `least` to `most`, or these themselves."""
    exponents = range((least - 1).bit_length(), most.bit_length())
    return min(most, max(least, 1 << chance.choice(exponents)))


def post(path: str, body: bytes, *fields: str, to: str = "proxy") -> bytes:
    """A whole request with a body of known length."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", *(fields or (JSON,))]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode("latin-1") + body


def get(path: str, *fields: str) -> bytes:
    """A request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode("latin-1")


def chunked(path: str, chunks: bytes, *fields: str) -> bytes:
    """A request whose body is framed in chunks already."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", *(fields or (JSON,))]
    return "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode() + chunks


def zipped(path: str, body: bytes, *fields: str, coding: str = "gzip") -> bytes:
    """A request with a body that is compressed already."""
    return post(path, body, *(fields or (JSON,)), f"Content-Encoding: {coding}")


@functools.lru_cache(maxsize=256)
def repeated(start: bytes, item: bytes, separator: bytes, count: int, end: bytes) -> bytes:
    """`item` this often between `start` and `end`."""
    return start + separator.join([item] * count) + end


@functools.lru_cache(maxsize=256)
def bomb(start: bytes, item: bytes, separator: bytes, count: int, end: bytes) -> bytes:
    """The same, compressed by gzip."""
    return gzip.compress(repeated(start, item, separator, count, end), 6)


@functools.lru_cache(maxsize=64)
def empty_members(count: int) -> bytes:
    """A search in gzip after so many members without content."""
    member = gzip.compress(b"", mtime=0)
    return member * count + gzip.compress(query("cells"))


@functools.lru_cache(maxsize=64)
def one_byte_chunks(body: bytes) -> bytes:
    return b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"


@functools.lru_cache(maxsize=64)
def deflated(size: int, raw: bool) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15 if raw else 15)
    return packer.compress(b" " * size + b"{}") + packer.flush()


def query(text: str) -> bytes:
    """A search for a text, as applications send it."""
    return json.dumps({"query": {"match": {"body": text}}}).encode()


def garbage(chance: random.Random, size: int) -> bytes:
    return chance.randbytes(min(size, 1 << 20))
