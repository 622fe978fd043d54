"""Attacks on both listeners by the form of requests: heads, chunks, pipelining, half requests."""

from __future__ import annotations

import gzip
import random

from tests.amounts.attacks import (
    JSON,
    SEARCH_PATH,
    Attack,
    Listener,
    chunked,
    draw,
    empty_members,
    get,
    one_byte_chunks,
    post,
    query,
    zipped,
)


def gzip_members(chance: random.Random) -> Attack:
    """A search after many gzip members without content."""
    count = draw(chance, 100_000)
    return Attack(zipped(SEARCH_PATH, empty_members(count)), count)


def small_chunks(chance: random.Random) -> Attack:
    """A search in chunks of one byte."""
    size = draw(chance, 1 << 20, least=64)
    body = query("cells").ljust(size)
    return Attack(chunked(SEARCH_PATH, one_byte_chunks(body)), size)


def odd_chunks(chance: random.Random) -> Attack:
    """Chunks with extensions, trailers, leading zeros, none at all, and nothing unpacked."""
    count = draw(chance, 50_000)
    body = query("cells")
    framed = chance.choice(
        [
            b"0\r\n\r\n",
            b"%x;%b\r\n%b\r\n0\r\n\r\n" % (len(body), b"e" * count, body),
            b"%b%x\r\n%b\r\n0\r\n\r\n" % (b"0" * count, len(body), body),
            b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, b"T: 1\r\n" * count),
        ]
    )
    if chance.random() < 0.3:
        empty = gzip.compress(b"")
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(empty), empty)
        return Attack(chunked(SEARCH_PATH, framed, JSON, "Content-Encoding: gzip"), 0)
    return Attack(chunked(SEARCH_PATH + "?q=cells", framed), count)


def many_headers(chance: random.Random) -> Attack:
    """Many lines, long lines, long lists in them."""
    listener: Listener = chance.choice(["proxy", "api"])
    count = draw(chance, 100_000)
    fields = chance.choice(
        [
            [f"X-{number}: 1" for number in range(count)],
            ["A: b"] * count,
            ["Connection: " + ",".join(["x"] * count)],
            ["X-Long: " + "y" * count],
            ["Accept: " + ",".join(["*/*;q=0.1"] * count)],
            ["Content-Type: application/json" + ";a=b" * count],
            ["X-Rescore-Plan: " + "fused" * count],
        ]
    )
    body = query("cells")
    if listener == "api":
        return Attack(get("/healthz", *fields), count, "api")
    return Attack(post(SEARCH_PATH, body, *fields), count)


def pipelined(chance: random.Random) -> Attack:
    """Many requests at once on one connection."""
    listener: Listener = chance.choice(["proxy", "api"])
    count = draw(chance, 2000)
    if listener == "api":
        return Attack(get("/healthz") * count, count, "api", answers=count)
    one = chance.choice([get("/"), get(f"{SEARCH_PATH}?q=nothinghere"), b"\r\n" + get("/")])
    return Attack(one * count, count, answers=count)


def empty_lines(chance: random.Random) -> Attack:
    """Line ends before a request."""
    count = draw(chance, 200_000)
    end = chance.choice([b"\r\n", b"\n", b"\r"])
    return Attack(end * count + get("/"), count)


def half_requests(chance: random.Random) -> Attack:
    """Requests that stop half way, on both listeners; their connections stay open."""
    listener: Listener = chance.choice(["proxy", "api"])
    size = draw(chance, 4 << 20)
    path = chance.choice([SEARCH_PATH, "/_bulk", "/docs-a/_msearch"])
    if listener == "api":
        path = chance.choice(["/v1/rerank", "/rescore-execution-plans", "/"])
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{JSON}\r\n".encode()
    raw = chance.choice(
        [
            head[: chance.randrange(1, len(head))],
            head + b"X-Long: " + b"y" * min(size, 60_000),
            head + b"Content-Length: %d\r\n\r\n" % (size + 1) + b" " * size,
            head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (size + 1) + b" " * size,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * min(size, 50_000),
        ]
    )
    return Attack(raw, size, listener, answers=0)
