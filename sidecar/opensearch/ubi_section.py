"""The section `ext.ubi` of a search: how the client names the query in User Behavior Insights.

    {"query": ..., "ext": {"ubi": {"query_id": "q1", "client_id": "c1", "user_query": "red shoes",
                                   "query_attributes": {"page": "home"}}}}

Source: the UBI specification 1.3 and `UbiParameters` of OpenSearch's UBI plugin 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Final
from uuid import uuid4

from pipelines.fusion import LARGEST
from sidecar.config.limits import Limits
from sidecar.config.routes import OFF
from sidecar.opensearch.exchange import ForwardUnchanged, decode_body, read_request
from sidecar.opensearch.outcome import Outcome
from sidecar.opensearch.rescore_section import may_cut
from sidecar.opensearch_rules.ext_sections import read_ext_section, write_head_for
from sidecar.opensearch_rules.request_headers import read_headers
from sidecar.relay.front import Request

NAME: Final = "ubi"

_WITHOUT_ANSWER: Final = frozenset(("refused", "upstream", "upstream_status", "unreadable"))

_MOST_ID: Final = 100  # `ignore_above` of the ids in the plugin's mapping
_MOST_TEXT: Final = 1000
_MOST_ATTRIBUTES: Final = 20


Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True)
class UbiSection:
    """What a section says; a query without an id cannot be joined with clicks."""

    query_id: str
    client_id: str | None = None
    user_query: str | None = None
    object_id_field: str | None = None
    query_attributes: Mapping[str, Attribute] = field(default_factory=dict)


async def read_ubi_section(
    request: Request, limits: Limits, cut: bool
) -> tuple[Request, UbiSection | None]:
    """The section, if there is one with an id, and the request, without the section if `cut`."""
    try:
        if not may_have_ubi(await decode_body(request, limits)):
            return request, None
        found = await read_request(request, limits, partial(read_ubi, limits=limits))
    except ForwardUnchanged:
        return request, None
    if found is None:
        return request, None
    ubi, without = found
    if cut and may_cut(read_headers(request.head)):
        request = Request(write_head_for(request.head, without), without, request.client_address)
    return request, ubi


def may_have_ubi(body: bytes) -> bool:
    """Whether the decoded body may have the section. A key with escapes is not recognized."""
    return b'"ubi"' in body and b'"ext"' in body


def read_ubi(body: bytes, limits: Limits) -> tuple[UbiSection | None, bytes] | None:
    """The section of a decoded JSON body, None if it has no id, and the body without it. Returns
    None if there is no section that can be cut out."""
    found = read_ext_section(body, NAME, limits.search_values)
    if found is None:
        return None
    value, without = found
    return _read(value), without


def describe_query(ubi: UbiSection, outcome: Outcome) -> Mapping[str, object] | None:
    """The document for `ubi_queries`; None if the client may have got an error.

    A search with OpenSearch's own answer has no ids of hits, because that answer is not read.
    """
    if outcome.reason in _WITHOUT_ANSWER:
        return None
    rescored = outcome.status in ("applied", "partial")
    attributes: dict[str, object] = dict(ubi.query_attributes)
    attributes["rescore_plan"] = outcome.plan if rescored else OFF
    if rescored and outcome.teams:
        attributes["rescore_interleave"] = dict(zip("ab", outcome.plan.split("+"), strict=True))
        attributes["rescore_teams"] = outcome.teams
    query: dict[str, object] = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "query_id": ubi.query_id,
        "query_response_id": str(uuid4()),
        "query_attributes": attributes,
    }
    if outcome.hit_ids:
        query["query_response_hit_ids"] = outcome.hit_ids
    for key in ("client_id", "user_query", "object_id_field"):
        value = getattr(ubi, key)
        if value is not None:
            query[key] = value
    return query


def _read(value: Any) -> UbiSection | None:
    if not isinstance(value, dict):
        return None
    query_id = _read_text(value.get("query_id"), _MOST_ID)
    if query_id is None:
        return None
    user_query = value.get("user_query")
    if isinstance(user_query, dict):
        user_query = user_query.get("text")
    return UbiSection(
        query_id,
        _read_text(value.get("client_id"), _MOST_ID),
        _read_text(user_query, _MOST_TEXT),
        _read_text(value.get("object_id_field"), _MOST_ID),
        _read_attributes(value.get("query_attributes")),
    )


def _read_attributes(value: object) -> Mapping[str, Attribute]:
    """The client's own attributes: texts, numbers and flags, as the plugin allows them. Names that
    begin with `rescore_` are the sidecar's."""
    if not isinstance(value, dict):
        return {}
    usable = {
        name: one
        for name, one in value.items()
        if (isinstance(one, str) and len(one) <= _MOST_TEXT)
        or (isinstance(one, int | float) and abs(one) <= LARGEST)
        if 0 < len(name) <= _MOST_ID and not name.startswith("rescore_")
    }
    return dict(islice(usable.items(), _MOST_ATTRIBUTES))


def _read_text(value: object, most: int) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= most else None
