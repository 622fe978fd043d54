"""The page's own files: read once at the start, compressed, with strict headers."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

FOLDER: Final = Path(__file__).parent / "static"

_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

PAGE_HEADERS: Final[Mapping[str, str]] = {
    # Images may come from elsewhere, because a document may name one; nothing else may.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' https: data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, as it is and compressed; `etag` changes with its bytes."""

    content: bytes
    compressed: bytes
    content_type: str
    etag: str


def read_static_files(folder: Path = FOLDER) -> dict[str, StaticFile]:
    """The page's files by name. Blocks."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            files[path.name] = StaticFile(
                content,
                gzip.compress(content, 9, mtime=0),
                _TYPES[path.suffix],
                hashlib.sha256(content).hexdigest()[:20],
            )
    return files


def answer_file(request: web.Request, file: StaticFile) -> web.Response:
    """The answer with this file; 304 if the browser has it."""
    # The browser asks each time, so that a new version of the product is never mixed with an old
    # page; an unchanged file costs an empty answer.
    headers = {**PAGE_HEADERS, "Cache-Control": "no-cache", "ETag": f'"{file.etag}"'}
    known = {tag.value for tag in request.if_none_match or ()}
    if file.etag in known:
        return web.Response(status=304, headers=headers)
    headers |= {"Content-Type": file.content_type, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", "").lower():
        return web.Response(body=file.compressed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=file.content, headers=headers)
