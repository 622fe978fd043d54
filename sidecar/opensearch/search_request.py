"""Read a search: what is asked for, or why it is left alone; and widen its window.

A search is changed only where every reading of it is certain. Anything else is a Skip, and the
request goes to OpenSearch as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from pipelines.plan import Plan
from sidecar.opensearch.filter_path import fields_are_left
from sidecar.opensearch.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    read_unique_value,
    replace_spans,
)
from sidecar.opensearch.query_text import read_query_text, text_at, tidy, words_of_q
from sidecar.opensearch.search_parameters import blocking_reason
from sidecar.opensearch.skip_reasons import Skip
from sidecar.opensearch.source_filter import fields_are_in_reply
from sidecar.opensearch.url_parameters import BadUrl, Parameter, read_url_parameters

MAX_RESULT_WINDOW = 10_000
"""OpenSearch's default for `index.max_result_window`: `from` + `size` may not pass it."""


@dataclass(frozen=True, slots=True)
class SearchHeaders:
    """The header values that decide whether a search may be changed; None for those not sent.

    The values of a field that was sent several times are joined by commas (RFC 9110, section 5.3).
    """

    content_type: bytes | None = None
    accept: bytes | None = None
    authorization: bytes | None = None
    x_amz_content_sha256: bytes | None = None
    x_rescore_query: bytes | None = None


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search that is to be rescored.

    `start` and `size` are the page that the client asked for, `fetch` is how many hits have to
    be fetched to rescore it. `parameters` and `members` are the URL's parameters and the body's
    top-level members, with their spans in `target` and `text`; `text` is the body as text, empty
    when there is none. Where `text_in_reply` is false, the plan's fields have to be fetched.
    """

    query_text: str
    start: int
    size: int
    fetch: int
    target: bytes
    text: str
    parameters: tuple[Parameter, ...]
    members: Mapping[str, Spanned]
    text_in_reply: bool = True


def read_search_request(
    target: bytes,
    body: bytes,
    headers: SearchHeaders,
    plan: Plan,
    max_result_window: int = MAX_RESULT_WINDOW,
) -> SearchRequest | Skip:
    """Read a search of a routed index; `body` is already decompressed.

    Never raises: whatever cannot be read with certainty is a Skip with its reason.
    """
    reason = reason_of_headers(headers, has_body=bool(body))
    if reason is not None:
        return Skip(reason)
    try:
        parameters = read_url_parameters(target)
    except BadUrl:
        return Skip("url_syntax")
    url = {parameter.name: parameter.value for parameter in parameters}
    try:
        text = body.decode()
        members = read_document(text, _read_body) if body else {}
    except (UnicodeDecodeError, NotJson):
        return Skip("body_syntax")
    values = {key: member.value for key, member in members.items()}

    reason = blocking_reason(url, values)
    if reason is not None:
        return Skip(reason)
    page = _read_page(url, values)
    if page is None:
        return Skip("bad_number")
    start, size = page
    if size == 0:
        return Skip("size_zero")
    if start >= plan.rescore_window:
        return Skip("beyond_window")
    if start + size > max_result_window:
        return Skip("result_window")
    query_text = _find_query_text(
        url,
        values,
        headers.x_rescore_query,
        plan.query_text,
        plan.document.names,
    )
    if isinstance(query_text, Skip):
        return query_text
    fields = fields_read(plan)
    return SearchRequest(
        query_text,
        start,
        size,
        min(max(plan.rescore_window, start + size), max_result_window),
        target,
        text,
        parameters,
        members,
        text_in_reply=fields_are_in_reply(fields, url, values)
        and fields_are_left(url.get("filter_path", ""), fields),
    )


def reason_of_headers(headers: SearchHeaders, has_body: bool) -> str | None:
    """The word of what in the head forbids a change or the reading of the answer, or None."""
    if headers.x_amz_content_sha256 is not None or (headers.authorization or b"").startswith(
        b"AWS4-"
    ):
        return "signed"
    # OpenSearch answers in the format of the request's body unless `Accept` says otherwise, and
    # takes anything that it does not know in `Accept` for "no wish".
    if headers.content_type is not None or has_body:
        media_type, _, parameters = (headers.content_type or b"").lower().partition(b";")
        charset = re.search(rb'charset\s*=\s*"?([^\s";]*)', parameters)
        # Several fields of the name, joined here by commas, are refused by OpenSearch.
        if (
            b"," in (headers.content_type or b"")
            or not re.fullmatch(rb"\s*application/(?:[\w.-]+\+)?json\s*", media_type)
            or (charset and charset[1] not in (b"utf-8", b"utf8"))
        ):
            return "content_type"
    if re.search(rb"yaml|cbor|smile|csv|event-stream", (headers.accept or b"").lower()):
        return "reply_format"
    return None


def fields_read(plan: Plan) -> tuple[str, ...]:
    """The fields of `_source` that the plan reads, as it spells them."""
    fields = plan.document.names
    return fields if plan.group_by is None else (*fields, plan.group_by)


def widen_window(search: SearchRequest) -> tuple[bytes, bytes]:
    """The request target and body that fetch hits 0 to `search.fetch`.

    A number is replaced where the one that counts stands: in the URL if it is there, else in the
    body. A missing `size` is added to the body, or to the URL when there is no body; a missing
    `from` already means 0. All other bytes stay.
    """
    page = {"from": "0", "size": str(search.fetch)}
    in_url = [parameter for parameter in search.parameters if parameter.name in page]
    target = search.target.decode("latin-1")
    target = replace_spans(target, ((one.start, one.end, page[one.name]) for one in in_url))
    in_body = page.keys() - {parameter.name for parameter in in_url}
    text = replace_spans(
        search.text,
        (
            (member.start, member.end, page[name])
            for name, member in search.members.items()
            if name in in_body
        ),
    )
    if "size" in in_body and "size" not in search.members:
        if search.text:
            behind = text.index("{") + 1
            comma = "," if search.members else ""
            text = f'{text[:behind]}"size":{search.fetch}{comma}{text[behind:]}'
        else:
            joint = "?" if "?" not in target else "" if target.endswith(("?", "&")) else "&"
            target = f"{target}{joint}size={search.fetch}"
    return target.encode("latin-1"), text.encode()


def _read_body(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=read_unique_value)


def _read_page(url: Mapping[str, str], body: Mapping[str, Any]) -> tuple[int, int] | None:
    """`from` and `size` as OpenSearch reads them, the URL's before the body's; None if unsure."""
    numbers = []
    for name, default in (("from", 0), ("size", 10)):
        value = url[name] if name in url else body.get(name, default)
        # A body's number may be a string, or written with a fraction of zero.
        fraction = "" if name in url else r"(?:\.0*)?"
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | str):
            return None
        if not re.fullmatch(rf"[0-9]{{1,9}}{fraction}", str(value)):
            return None
        numbers.append(int(float(value)))
    return numbers[0], numbers[1]


def _find_query_text(
    url: Mapping[str, str],
    body: Mapping[str, Any],
    header: bytes | None,
    path: str,
    fields: tuple[str, ...],
) -> str | Skip:
    """The query text, from the most explicit place that has one.

    That is the request's header, then its `ext.rerank` (the section of neural-search), then `q`,
    which replaces the body's query, then the plan's path or the walk of the query.
    """
    if header:
        try:
            found: str | None = tidy(unquote_to_bytes(header).decode())
        except UnicodeDecodeError:
            return Skip("query_header")
    else:
        found = _text_of_ext(body)
        if found is None and "q" in url:
            found = words_of_q(url["q"], url.get("df"), fields)
        elif found is None and path != "auto":
            found = text_at(body, path)
        elif found is None:
            found = read_query_text(body.get("query"), fields)
    return found or Skip("no_query_text")


def _text_of_ext(body: Mapping[str, Any]) -> str | None:
    text = text_at(body, "ext.rerank.query_context.query_text")
    if text is not None:
        return text
    path = text_at(body, "ext.rerank.query_context.query_text_path")
    return None if path is None else text_at(body, path)
