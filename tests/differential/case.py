"""One request of the fuzzing: kept in parts, so that it can be made smaller, sent as bytes."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

PIT = "@pit@"
"""In a body: the point in time that the corpus has open, whose id differs from run to run."""


@dataclass(frozen=True, slots=True)
class Case:
    """A request.

    `parameters` are spelled as in the URL, where `&` joins them; `fields` are header lines beside
    Host and Content-Length. `body` is None for none; lone surrogates from U+DC80 on stand for
    bytes that are not UTF-8 (Python's `surrogateescape`). `section` is the JSON of an `ext.rescore`
    that only the sidecar gets (`extended.with_section`); empty for none.
    """

    method: str
    path: str
    parameters: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    body: str | None = None
    compressed: bool = False
    section: str = ""

    @property
    def target(self) -> str:
        return "?".join([self.path, "&".join(self.parameters)] if self.parameters else [self.path])

    def write(self, pit: str) -> bytes:
        """The request's bytes, the same for the same case."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: opensearch", *self.fields]
        body = b""
        if self.body is not None:
            body = self.body.replace(PIT, pit).encode("utf-8", "surrogateescape")
            if self.compressed:
                body = gzip.compress(body, mtime=0)
                lines.append("Content-Encoding: gzip")
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def write_case(case: Case) -> dict[str, Any]:
    """The case as JSON has it, without what is empty."""
    return {key: value for key, value in asdict(case).items() if value or value == ""}


def read_case(written: Mapping[str, Any]) -> Case:
    """The reverse of `write_case`."""
    lists = {key: tuple(written.get(key, ())) for key in ("parameters", "fields")}
    return Case(**{**written, **lists})
