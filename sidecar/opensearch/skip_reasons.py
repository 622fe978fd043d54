"""The reasons for which a search is not rescored, and what they mean.

The key is the `reason` in the `X-Rescore` header and the label of the metric. The sentences appear
in the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SKIP_REASONS: Mapping[str, str] = MappingProxyType(
    {
        # The form of the request.
        "signed": "The request has an AWS signature, which any change would break.",
        "content_encoding": "The body is broken, or its content coding is not gzip or deflate.",
        "content_type": "The body's Content-Type is not JSON in UTF-8.",
        "reply_format": "`format` or `Accept` requests an answer that is not JSON.",
        "url_syntax": "The URL has `;`, `#`, a raw non-ASCII byte or a broken escape.",
        "body_syntax": "The body is not one strict JSON object in UTF-8, or a key is repeated.",
        "multi_search": "OpenSearch may read the lines of the `_msearch` differently.",
        "template": "The search by template has a parameter that a plain search reads differently.",
        "unknown_parameter": "The URL has a parameter that is not known for searches.",
        "unknown_key": "The body has a key that is not known for searches.",
        "templates": "A search by template, and the plan has `templates: false` or `mode: shadow`; "
        "or an `_msearch/template`.",
        # The size of the request; the reason is the key in the main file.
        "limits.search_bytes": "The body is larger than `limits.search_bytes`, decompressed.",
        "limits.unfinished_mb": "Incomplete bodies of searches together exceed "
        "`limits.unfinished_mb`.",
        "limits.search_values": "The body has more values than `limits.search_values`.",
        "limits.multi_search_items": "More searches than `limits.multi_search_items`.",
        "limits.index_names": "The index list is longer than `limits.index_names`.",
        "limits.url_parameters": "The URL has more parameters than `limits.url_parameters`.",
        "limits.query_clauses": "The query has more objects, texts or fields than "
        "`limits.query_clauses`.",
        "limits.nesting": "The body is nested deeper than `limits.nesting`.",
        # What the search requests.
        "bad_number": "`from` or `size` is not a whole number of at least 0.",
        "size_zero": "`size` is 0: there are no hits to rescore.",
        "beyond_window": "`from` is at or beyond the rescore window.",
        "result_window": "`from` + `size` is more than an index serves (10,000 by default).",
        "sort": "The hits are sorted by something other than descending `_score` alone.",
        "rescore": "The search's own `rescore` has a `window_size` below the page's end, so the "
        "hits of a page depend on `size`.",
        "own_order": "The scores are not a text's relevance but an order of their own: a field's "
        "value, a script without `_score`, a distance, a rank or random scores.",
        "search_after": "`search_after` is a cursor over the order.",
        "scroll": "`scroll` is a cursor over the order.",
        "pit": "A point in time is searched.",
        "slice": "The search is one slice of many.",
        "collapse": "`collapse` has `inner_hits`, which cost one more search per hit.",
        "search_pipeline": "A search pipeline, the request's or an index's default, may change "
        "the size and the order itself. Name it in `upstream.pipelines` if it does not; `key` in "
        "the header is the key to set.",
        "streaming": "Streamed answers cannot be put into a new order.",
        "filter_path": "`filter_path` may remove `_shards`, `timed_out`, or the hits' `_index`, "
        "`_id` or `_score`.",
        "source_parameter": "The body is in the URL (`source`).",
        "stored_fields": "`stored_fields` is `_none_`: the hits have no ids and no text.",
        "hybrid": "The candidates and scores of a `hybrid` query depend on `size`. Set its "
        "`pagination_depth` to at least the plan's `rescore_window`, or `hybrid: widen` in the "
        "plan. Beside `q`, `rescore` or `collapse` it is always left alone.",
        "pipeline_query": "A search pipeline rewrites `agentic` and `template` queries.",
        "plugin_ext": "The Kendra plugin would not accept `ext.search_configuration`.",
        "ext": "`ext` has a section that affects the order.",
        # The query text.
        "query_header": "`X-Rescore-Query` is not percent-encoded UTF-8.",
        "no_query_text": "The search has no text that a user typed, except in filters.",
    }
)


@dataclass(frozen=True, slots=True)
class Skip:
    """A search that is forwarded unchanged; `reason` is a key of SKIP_REASONS.

    `key` is the key of the main file that would change it, if there is one.
    """

    reason: str
    key: str = ""
