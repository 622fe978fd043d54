"""What the main file may contain under `limits`: bounds for what clients may send."""

from __future__ import annotations

from pydantic import Field

from pipelines.strict import Strict


class Limits(Strict):
    """Bounds for what clients may send. A search beyond one of the first seven is forwarded without
    rescoring; its reason is the key, such as `limits.search_bytes`."""

    search_bytes: int = Field(default=2 << 20, ge=1024, le=64 << 20)
    """Maximum bytes of a search or `_msearch` body, decompressed."""

    search_values: int = Field(default=100_000, ge=1000, le=10_000_000)
    """Maximum number of values in a search body: numbers, texts, objects and arrays. A `terms`
    query with 65,536 terms, OpenSearch's default limit, is within the default."""

    multi_search_items: int = Field(default=200, ge=1, le=100_000)
    """Maximum number of searches in one `_msearch`."""

    index_names: int = Field(default=1000, ge=1, le=100_000)
    """Maximum number of names in an index list; their average length may be 16 bytes."""

    url_parameters: int = Field(default=200, ge=1, le=100_000)
    """Maximum number of parameters in a URL."""

    query_clauses: int = Field(default=1024, ge=1, le=100_000)
    """Maximum number of objects in a search's query, which is about its number of clauses; 1,024 is
    OpenSearch's own default."""

    nesting: int = Field(default=100, ge=10, le=900)
    """Maximum depth of objects and arrays in a search body."""

    header_timeout_ms: int = Field(default=60_000, ge=0, le=86_400_000)
    """Maximum milliseconds from the first byte of a request's head to its last, on both listeners;
    0: no limit."""

    body_timeout_ms: int = Field(default=60_000, ge=0, le=86_400_000)
    """Milliseconds without a byte after which a request with an incomplete body ends with 408, on
    both listeners; 0: no limit."""

    unfinished_mb: int = Field(default=256, ge=16, le=1_000_000)
    """Memory for incomplete bodies of searches, in MiB; beyond it, searches are forwarded without
    rescoring."""

    connections_per_address: int = Field(default=0, ge=0, le=1_000_000)
    """Maximum open connections per client address on the proxy listener; 0: no limit."""

    api_connections: int = Field(default=1000, ge=10, le=1_000_000)
    """Maximum open connections of the api listener. Beyond it, a new connection replaces the
    one that has been unused, or has waited for the rest of a request, for the longest time."""

    api_unfinished_mb: int = Field(default=256, ge=16, le=1_000_000)
    """Memory for bodies of unanswered requests to the api listener, in MiB. Beyond it, a new
    request ends the oldest one that is still incomplete."""
