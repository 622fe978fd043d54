"""The section `ext.rescore` of a search: what the client asks of the sidecar, in the body.

    {"query": ..., "ext": {"rescore": {"plan": "products", "query": "red shoes"}}}

Its keys mean what the request's headers mean, and they win over the headers. A body can also be
written by query builders, and for each item of an `_msearch`, where headers cannot be set. The
section is cut out, because OpenSearch would refuse it. A section with a mistake is cut out too: the
search is then not rescored, and the `X-Rescore` header names the mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from pipelines.fusion import LARGEST
from sidecar.config.limits import Limits
from sidecar.opensearch.exchange import ForwardUnchanged, decode_body, read_request
from sidecar.opensearch_rules.ext_sections import read_ext_section, write_head_for
from sidecar.opensearch_rules.request_headers import (
    SearchHeaders,
    find_forbidding_header,
    read_headers,
)
from sidecar.relay.front import Request

NAME: Final = "rescore"


@dataclass(frozen=True, slots=True)
class RescoreSection:
    """What a section says; None for a key that it does not have."""

    off: bool | None = None
    plan: str | None = None
    query: str | None = None
    explain: bool | None = None
    highlight: bool | None = None
    min_score: float | None = None

    def apply(self, headers: SearchHeaders) -> SearchHeaders:
        """The headers, with the query text of the section instead of their own."""
        if self.query is None:
            return headers
        return replace(headers, x_rescore_query=quote(self.query, safe="").encode())


@dataclass(frozen=True, slots=True)
class SectionMistake:
    """A section that cannot be used: `reason` is one of REASONS, `key` is the wrong key."""

    reason: str
    key: str


NO_SECTION: Final = RescoreSection()


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()  # JSON may contain a lone surrogate
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


_KEYS: Final[Mapping[str, Callable[[object], bool]]] = MappingProxyType(
    {
        "off": _is_flag,
        "plan": _is_text,
        "query": _is_text,
        "explain": _is_flag,
        "highlight": _is_flag,
        "min_score": _is_number,
    }
)


def may_have_section(body: bytes) -> bool:
    """Whether the decoded body may have the section.

    A key with escapes is not recognized; then OpenSearch answers with an error.
    """
    return b'"rescore"' in body and b'"ext"' in body


def read_section(
    body: bytes, limits: Limits
) -> tuple[RescoreSection | SectionMistake, bytes] | None:
    """The section of a decoded JSON body, and the body without it; None if it cannot be cut out."""
    found = read_ext_section(body, NAME, limits.search_values)
    if found is None:
        return None
    value, cut = found
    return _check(value), cut


def may_cut(headers: SearchHeaders) -> bool:
    """Whether the headers allow another body: it is not signed, and the body is JSON."""
    return find_forbidding_header(headers, True) not in ("signed", "content_type")


async def cut_rescore_section(
    request: Request, limits: Limits
) -> tuple[Request, RescoreSection | SectionMistake]:
    """The request without its section, and the section.

    The same request and NO_SECTION if there is no section, or if it cannot be cut out.
    """
    try:
        if not may_have_section(await decode_body(request, limits)) or not may_cut(
            read_headers(request.head)
        ):
            return request, NO_SECTION
        found = await read_request(request, limits, partial(read_section, limits=limits))
    except ForwardUnchanged:
        return request, NO_SECTION
    if found is None:
        return request, NO_SECTION
    section, body = found
    return Request(write_head_for(request.head, body), body), section


def _check(value: Any) -> RescoreSection | SectionMistake:
    if value is None:
        return NO_SECTION
    if not isinstance(value, dict):
        return SectionMistake("section_value", NAME)
    for key, member in value.items():
        if key not in _KEYS:
            # The key is shown in a header line.
            shown = key if re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", key) else "?"
            return SectionMistake("section_key", shown)
        if member is not None and not _KEYS[key](member):
            return SectionMistake("section_value", key)
    return RescoreSection(**value)
