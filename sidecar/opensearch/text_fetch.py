"""Text that a search's own answer does not carry, fetched by the ids of its hits.

The client's `_source`, `stored_fields`, `script_fields` and `filter_path` stay as they are; what
they keep back is asked for in a search of its own. It carries every field of the client's head
that says who he is, so it reads what he may read, and no more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.errors import RescoreError
from sidecar.opensearch.search_response import FoundHit, Unreadable, read_hits
from sidecar.opensearch.url_parameters import read_url_parameters
from sidecar.relay.heads import RequestHead

_MOST_HITS: Final = 10_000  # OpenSearch's default for `index.max_result_window`

# Parameters that decide in which indices and on which copies the ids are looked up.
_KEPT: Final = frozenset(
    {
        *("routing", "preference", "expand_wildcards", "ignore_unavailable", "allow_no_indices"),
        "ignore_throttled",
    }
)

# About the client's own body and answer; this one has others.
_DROPPED: Final = (
    *(b"content-type", b"content-encoding", b"accept", b"accept-encoding", b"expect"),
)


class TextNotFetched(RescoreError):
    """The text of the hits could not be fetched."""

    reason = "text_fetch"


def write_text_fetch(
    head: RequestHead, hits: Sequence[FoundHit], fields: Sequence[str]
) -> tuple[bytes, bytes]:
    """Head and body of the search that fetches these fields of these hits.

    `head` is the client's, of a `_search` that was read before: its indices as he spelled them.
    """
    path, _, _ = head.target.partition(b"?")
    # `_none`: an index's own pipeline may drop or rename fields, or need a query to work on.
    pieces = [b"search_pipeline=_none"]
    for parameter in read_url_parameters(head.target):
        if parameter.name in _KEPT:
            value = head.target[parameter.start : parameter.end]
            pieces.append(parameter.name.encode() + b"=" + value)
    target = path + b"?" + b"&".join(pieces)
    body = json.dumps(_query(hits) | _settings(hits, fields)).encode()
    written = head.write_upstream(
        method=b"POST",
        target=target,
        content_length=len(body),
        drop=_DROPPED,
        add=(b"Content-Type: application/json",),
    )
    return written, body


def read_texts(content: bytes, hits: Sequence[FoundHit]) -> tuple[Mapping[str, Any], ...]:
    """One `_source` for each of the hits, from the answer's body; empty where there is none.

    A hit is known by its index and id. Where documents of one index share an id, by different
    routing, nothing tells which of them is the hit, so it gets no text.

    Raises TextNotFetched when the answer is not whole.
    """
    try:
        read = read_hits(content)
    except Unreadable:
        raise TextNotFetched("the answer is not a search response") from None
    if read.shards_failed or read.timed_out or read.terminated_early:
        raise TextNotFetched("OpenSearch could not look everywhere")
    if _room(hits) == len(read.hits) > len(hits):
        raise TextNotFetched("more documents share these ids than are fetched")
    keys = [(hit.index_name, hit.id) for hit in read.hits]
    count = Counter(keys)
    sources = {key: hit.source for key, hit in zip(keys, read.hits, strict=True) if count[key] == 1}
    return tuple(sources.get((hit.index_name, hit.id), {}) for hit in hits)


def _query(hits: Sequence[FoundHit]) -> dict[str, Any]:
    ids: dict[str, dict[str, None]] = {}
    for hit in hits:
        ids.setdefault(hit.index_name, {})[hit.id] = None
    # Each index with its own ids: behind an alias another index may have the same ones.
    clauses = [
        {"bool": {"filter": [{"term": {"_index": index}}, {"ids": {"values": list(values)}}]}}
        for index, values in ids.items()
    ]
    return {"query": {"bool": {"should": clauses}}}


def _settings(hits: Sequence[FoundHit], fields: Sequence[str]) -> dict[str, Any]:
    return {"size": _room(hits), "_source": list(fields), "track_total_hits": False}


def _room(hits: Sequence[FoundHit]) -> int:
    """How many documents are fetched: room for some that share an id."""
    return min(2 * len(hits), _MOST_HITS)
