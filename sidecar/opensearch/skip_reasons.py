"""Why a search is left alone: every reason's word and what it tells a user.

The word is the `reason` in the `X-Rescore` header and the label of the metric; the sentences
are the reference in the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SKIP_REASONS: Mapping[str, str] = MappingProxyType(
    {
        # How the request is written.
        "signed": "The request carries an AWS signature, which any change would break.",
        "content_encoding": "The body is compressed with neither gzip nor deflate, or broken.",
        "content_type": "The body's Content-Type is not JSON in UTF-8.",
        "reply_format": "`format` or `Accept` asks for an answer that is not JSON.",
        "url_syntax": "The query string has `;`, `#`, a raw non-ASCII byte or a broken escape.",
        "body_syntax": "The body is not one strict JSON object in UTF-8 without repeated keys.",
        "multi_search": "The lines of the `_msearch` may be read otherwise by OpenSearch.",
        "template": "The search by template has a parameter that plain searches read differently.",
        "unknown_parameter": "The URL has a parameter that is not one of a search.",
        "unknown_key": "The body has a key that is not one of a search.",
        # What the search asks for.
        "bad_number": "`from` or `size` is not a whole number from 0 up.",
        "size_zero": "`size` is 0: there are no hits to rescore.",
        "beyond_window": "`from` is at or beyond the rescore window.",
        "result_window": "`from` + `size` is more than an index serves (10,000 unless set).",
        "sort": "The hits are sorted by something other than falling `_score` alone.",
        "search_after": "`search_after` is a cursor over the order.",
        "scroll": "`scroll` is a cursor over the order.",
        "pit": "A point in time is searched.",
        "slice": "The search is one slice of many.",
        "collapse": "`collapse` has `inner_hits`, which cost one more search for each hit.",
        "search_pipeline": "A search pipeline may change size and order itself.",
        "streaming": "Streamed answers cannot be put into a new order.",
        "filter_path": "`filter_path` may take away `_shards`, `timed_out` or the hits' `_index`, "
        "`_id` or `_score`.",
        "source_parameter": "The body is in the URL (`source`).",
        "stored_fields": "`stored_fields` is `_none_`: the hits have no ids and no text.",
        "hybrid": "Candidates and scores of a `hybrid` query depend on the size.",
        "pipeline_query": "`agentic` and `template` queries are written by a search pipeline.",
        "plugin_ext": "`ext.search_configuration` is not as the Kendra plugin takes it.",
        "ext": "`ext` has a section that works on the order itself.",
        # What the user typed.
        "query_header": "`X-Rescore-Query` is not percent-encoded UTF-8.",
        "no_query_text": "The search has no text that a user typed, or only in filters.",
    }
)


@dataclass(frozen=True, slots=True)
class Skip:
    """A search that is forwarded as it came; `reason` is a key of SKIP_REASONS."""

    reason: str
