"""A widened search in two steps, for indexes with large documents.

The first step finds and orders the hits, and fetches only the fields that the plan reads. The
second step fetches the `_source` that the client asked for, of the page's hits only. These bytes
replace the `_source` in the first answer, so the page is the same as with one step.

Each hit of both answers has the version of its document (`_seq_no`, `_primary_term`). If a document
changed between the steps, its versions differ. So no hit is made of two versions.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from sidecar.opensearch.search_request import SearchRequest
from sidecar.opensearch.search_response import (
    ResponseHit,
    SearchResponse,
    Unreadable,
    read_search_response,
)
from sidecar.opensearch.text_fetch import choose_fetch_size, write_ids_query, write_search
from sidecar.opensearch.url_options import SOURCE_OPTIONS
from sidecar.relay.heads import RequestHead
from sidecar.spans.json_spans import Spanned, read_object, replace_spans
from sidecar.spans.url_parameters import read_url_parameters

_VERSION_PARAMETER: Final = "seq_no_primary_term"
_VERSION: Final = ("_seq_no", "_primary_term")

# Completion suggestions show the `_source` of their documents, `filter_path` may remove the
# versions, and a search pipeline may change the `_source`.
_NEEDS_ONE_STEP: Final = frozenset({"suggest", "stored_fields", "filter_path", "search_pipeline"})

_TARGET_BYTES: Final = 3500
"""Maximum length of an edited target. By default OpenSearch takes request lines of 4 KiB."""


class SourcesChanged(Exception):
    """The second answer does not have the same documents as the first one."""


class _Source(NamedTuple):
    version: object
    text: str | None


def reduce_to_plan_fields(
    search_request: SearchRequest, fields: Sequence[str]
) -> SearchRequest | None:
    """The search of the first step: only these fields of `_source`, and each hit's version.

    None if the search must be made in one step.
    """
    names = {parameter.name for parameter in search_request.parameters}
    if (
        not search_request.text_in_response
        or not _NEEDS_ONE_STEP.isdisjoint(names | search_request.members.keys())
        or any(name.startswith("suggest") for name in names)
        or any("," in field or "*" in field for field in fields)
    ):
        return None
    path, _, _ = search_request.target.partition(b"?")
    pieces = [
        piece
        for piece, name in _encoded_parameters(search_request.target)
        if name not in (*SOURCE_OPTIONS, _VERSION_PARAMETER)
    ]
    pieces.append(b"_source_includes=" + quote(",".join(fields), safe=",.").encode())
    pieces.append(b"%s=true" % _VERSION_PARAMETER.encode())
    target = path + b"?" + b"&".join(pieces)
    if len(target) > _TARGET_BYTES:
        return None
    return replace(search_request, target=target, parameters=read_url_parameters(target))


def write_source_fetch(
    head: RequestHead, search_request: SearchRequest, hits: Sequence[ResponseHit]
) -> tuple[bytes, bytes]:
    """Head and body of the second step's search: these hits with the client's own `_source`.

    `head` is the client's, and `search_request` is the client's search.
    """
    pieces = [
        piece
        for piece, name in _encoded_parameters(search_request.target)
        if name in (*SOURCE_OPTIONS, "pretty")
    ]
    pieces.append(b"%s=true" % _VERSION_PARAMETER.encode())
    settings = {"size": choose_fetch_size(hits), "track_total_hits": False}
    body = json.dumps(write_ids_query(hits) | settings)
    if "_source" in search_request.members:
        own = search_request.members["_source"]
        body = f'{body[:-1]}, "_source": {search_request.text[own.start : own.end]}}}'
    return write_search(head, pieces, body.encode())


def read_sources(
    content: bytes, search_response: SearchResponse, positions: Sequence[int]
) -> list[str | None]:
    """The `_source` in the second answer, of the hits at these positions of the first answer.

    None for a hit without `_source`. Raises SourcesChanged unless all versions are the same.
    """
    try:
        fetched = read_search_response(content)
    except Unreadable:
        raise SourcesChanged("the answer is not a search response") from None
    if fetched.shards_failed or fetched.timed_out or fetched.terminated_early:
        raise SourcesChanged("OpenSearch could not search all shards")
    names = [(hit.index_name, hit.id) for hit in fetched.hits]
    count = Counter(names)
    sources = {
        name: _read_source(fetched.text, hit)
        for name, hit in zip(names, fetched.hits, strict=True)
        if count[name] == 1
    }
    texts = []
    for position in positions:
        hit = search_response.hits[position]
        source = sources.get((hit.index_name, hit.id))
        first = _read_source(search_response.text, hit)
        if source is None or source.version != first.version or first.version is None:
            raise SourcesChanged("a document changed or is gone")
        if (source.text is None) != (first.text is None):
            raise SourcesChanged("a document has lost its source")
        texts.append(source.text)
    return texts


def put_sources(
    search_response: SearchResponse,
    positions: Sequence[int],
    sources: Sequence[str | None],
    keep_versions: bool,
) -> SearchResponse:
    """The first answer with these sources in the hits at these positions.

    Versions are removed, unless the client itself asked for them (`keep_versions`).
    """
    edits: list[tuple[int, int, str]] = []
    for position, source in zip(positions, sources, strict=True):
        hit = search_response.hits[position]
        members, _ = read_object(search_response.text, hit.start)
        previous_end = hit.start + 1
        for name, member in members.items():
            if name == "_source" and source is not None:
                edits.append((member.start, member.end, source))
            elif name in _VERSION and not keep_versions:
                edits.append((previous_end, member.end, ""))
            previous_end = member.end
    edits.sort()
    ends = [end for _, end, _ in edits]
    growth = [0, *accumulate(len(new) - (end - start) for start, end, new in edits)]

    def move(offset: int) -> int:
        return offset + growth[bisect_right(ends, offset)]

    hits = tuple(
        hit._replace(
            start=move(hit.start),
            end=move(hit.end),
            score_start=move(hit.score_start),
            score_end=move(hit.score_end),
        )
        for hit in search_response.hits
    )
    largest = search_response.max_score
    if largest is not None:
        largest = Spanned(largest.value, move(largest.start), move(largest.end))
    return replace(
        search_response,
        text=replace_spans(search_response.text, edits),
        start=move(search_response.start),
        end=move(search_response.end),
        hits=hits,
        max_score=largest,
    )


def asks_for_versions(search_request: SearchRequest) -> bool:
    """Whether the client's own search shows each hit's version."""
    for parameter in reversed(search_request.parameters):
        if parameter.name == _VERSION_PARAMETER:
            return parameter.value != "false"
    member = search_request.members.get(_VERSION_PARAMETER)
    return member is not None and member.value not in (False, "false")


def measure_spare_bytes(search_response: SearchResponse, fields: Sequence[str]) -> float:
    """About how many bytes of each hit do not belong to these fields; 0 for small hits."""
    hits = search_response.hits[:_SAMPLE]
    if not hits or sum(hit.end - hit.start for hit in hits) < _SMALL * len(hits):
        return 0.0
    spare = sum(
        hit.end - hit.start - sum(_length(hit.source, field) for field in fields) for hit in hits
    )
    return max(0.0, spare / len(hits))


_SAMPLE: Final = 10
_SMALL: Final = 2000


def _length(source: Mapping[str, Any], field: str) -> int:
    value: Any = source.get(field)
    if value is None:
        value = source
        for key in field.split("."):
            value = value.get(key) if isinstance(value, dict) else None
    return len(value) if isinstance(value, str) else len(json.dumps(value))


def _read_source(text: str, hit: ResponseHit) -> _Source:
    members, _ = read_object(text, hit.start)
    version = tuple(members[name].value for name in _VERSION if name in members)
    source = members.get("_source")
    return _Source(
        version if len(version) == len(_VERSION) else None,
        None if source is None else text[source.start : source.end],
    )


def _encoded_parameters(target: bytes) -> list[tuple[bytes, str]]:
    """Each parameter of a target, encoded as it is there, and its name."""
    return [
        (quote(one.name, safe="").encode() + b"=" + target[one.start : one.end], one.name)
        for one in read_url_parameters(target)
    ]
