"""OpenSearch's URL parameters, in the groups that searches of all kinds share."""

from __future__ import annotations

from typing import Final

INDEX_OPTIONS: Final = (
    "expand_wildcards",
    "ignore_unavailable",
    "allow_no_indices",
    "ignore_throttled",
)
"""How OpenSearch resolves the index list."""

COPY_OPTIONS: Final = ("routing", "preference")
"""Which shards and copies are searched."""

EXECUTION_OPTIONS: Final = (
    *("search_type", "request_cache", "batched_reduce_size", "pre_filter_shard_size"),
    *("max_concurrent_shard_requests", "ccs_minimize_roundtrips", "phase_took"),
    *("allow_partial_search_results", "cancel_after_time_interval"),
)
"""How a search is executed."""

FORMAT_OPTIONS: Final = ("typed_keys", "rest_total_hits_as_int", "pretty", "human", "error_trace")
"""How the answer is written. `format` and `filter_path` need a check of their values."""

SOURCE_OPTIONS: Final = ("_source", "_source_includes", "_source_excludes")
"""Which fields of `_source` the answer contains; they replace `_source` in the body."""
