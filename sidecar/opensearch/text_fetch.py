"""Fetches text that a search's own answer does not contain, by the ids of its hits.

The client's `_source`, `stored_fields`, `script_fields` and `filter_path` stay unchanged, and the
text that they leave out is fetched by a separate search. That search has all fields of the client's
head that identify the client, so it can read what the client can read, and nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.errors import RescoreError
from sidecar.opensearch.search_response import ResponseHit, Unreadable, read_search_response
from sidecar.opensearch.url_options import COPY_OPTIONS, INDEX_OPTIONS
from sidecar.opensearch_rules.limits import MAX_RESULT_WINDOW
from sidecar.relay.heads import RequestHead
from sidecar.spans.url_parameters import read_url_parameters

ABOUT_THE_BODY: Final = (
    *(b"content-type", b"content-encoding", b"accept", b"accept-encoding", b"expect"),
)
"""Fields about the client's own body and answer."""


class TextNotFetched(RescoreError):
    """The text of the hits could not be fetched."""

    reason = "text_fetch"


def write_text_fetch(
    head: RequestHead, hits: Sequence[ResponseHit], fields: Sequence[str]
) -> tuple[bytes, bytes]:
    """Head and body of the search that fetches these fields of these hits.

    `head` is the client's head of a `_search` that is already read.
    """
    body = write_ids_query(hits) | {"size": choose_fetch_size(hits), "_source": list(fields)}
    return write_search(head, (), json.dumps(body | {"track_total_hits": False}).encode())


def write_search(
    head: RequestHead, parameters: Sequence[bytes], body: bytes
) -> tuple[bytes, bytes]:
    """Head and body of a search of the same indexes by the same client, with these parameters."""
    path, _, _ = head.target.partition(b"?")
    # `_none`: the index's own search pipeline may remove or rename fields, or need a query.
    pieces = [b"search_pipeline=_none", *parameters]
    for parameter in read_url_parameters(head.target):
        if parameter.name in (*INDEX_OPTIONS, *COPY_OPTIONS):
            value = head.target[parameter.start : parameter.end]
            pieces.append(parameter.name.encode() + b"=" + value)
    target = path + b"?" + b"&".join(pieces)
    return head.write_with_body(
        body,
        method=b"POST",
        target=target,
        drop=ABOUT_THE_BODY,
        add=(b"Content-Type: application/json",),
    )


def read_texts(content: bytes, hits: Sequence[ResponseHit]) -> tuple[Mapping[str, Any], ...]:
    """The `_source` of each hit, from the answer's body; empty if there is none.

    Index and id identify a hit. Documents of one index with different routing may share an id. Then
    it is not known which of them is the hit, so the hit gets no text.

    Raises TextNotFetched if the answer is incomplete.
    """
    try:
        search_response = read_search_response(content)
    except Unreadable:
        raise TextNotFetched("the answer is not a search response") from None
    if (
        search_response.shards_failed
        or search_response.timed_out
        or search_response.terminated_early
    ):
        raise TextNotFetched("OpenSearch could not search all shards")
    if choose_fetch_size(hits) == len(search_response.hits) > len(hits):
        raise TextNotFetched("more documents share these ids than the search fetches")
    keys = [(hit.index_name, hit.id) for hit in search_response.hits]
    count = Counter(keys)
    sources = {
        key: hit.source
        for key, hit in zip(keys, search_response.hits, strict=True)
        if count[key] == 1
    }
    return tuple(sources.get((hit.index_name, hit.id), {}) for hit in hits)


def write_ids_query(hits: Sequence[ResponseHit]) -> dict[str, Any]:
    """The `query` that finds these hits again."""
    ids: dict[str, dict[str, None]] = {}
    for hit in hits:
        ids.setdefault(hit.index_name, {})[hit.id] = None
    # Each index gets its own ids, because another index behind an alias may have the same ids.
    clauses = [
        {"bool": {"filter": [{"term": {"_index": index}}, {"ids": {"values": list(values)}}]}}
        for index, values in ids.items()
    ]
    return {"query": {"bool": {"should": clauses}}}


def choose_fetch_size(hits: Sequence[ResponseHit]) -> int:
    """How many documents to fetch: more than there are hits, as documents may share an id."""
    return min(2 * len(hits), MAX_RESULT_WINDOW)
