"""What to do about each reason of `X-Rescore`, for people who look at a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sidecar.opensearch.outcome import REASONS, Outcome

FIXES: Mapping[str, str] = MappingProxyType(
    {
        "busy": "Try again; if it stays, give the sidecar more cores or more replicas.",
        "beyond_window": "Raise rescore_window in the plan, or ask for an earlier page.",
        "body_syntax": "Write the body as one JSON object without repeated keys.",
        "collapse": "Remove inner_hits from collapse, or group the hits with group_by in the plan.",
        "content_type": "Send the body as application/json.",
        "deadline": "Raise deadline_ms in the plan, read fewer passages (passages.per_group), or "
        "store the passage vectors beforehand with: sidecar warm.",
        "disabled": "Set enabled: true in the plan.",
        "error": "Look into the sidecar's log and report it.",
        "filter_path": "Let filter_path keep _shards, timed_out and the hits' _index, _id, _score.",
        "hybrid": "Set pagination_depth to at least the plan's rescore_window, or hybrid: widen in "
        "the plan.",
        "hybrid_scores": "Search with a pipeline that normalises the scores.",
        "model": "Look into the sidecar's log: the model failed.",
        "no_hits": "The search matches nothing; check the index and the query.",
        "no_query_text": "Name the path of the query text with query_path in the plan, or send "
        "ext.rescore.query.",
        "no_text": "Correct the field names under document in the plan; the hits have no text in "
        "these fields.",
        "off": "Remove off from the request.",
        "overload": "Try again; give the model more cores, or choose a smaller model or window.",
        "own_order": "Nothing: the search asks for an order of its own, which rescoring must not "
        "change.",
        "pit": "Search without a point in time.",
        "refused": "Ask for the right to read the index, or correct its name.",
        "rescore": "Raise the window_size of the search's own rescore.",
        "result_window": "Ask for an earlier page.",
        "resting": "Wait a minute; look into the log for why the widened search failed.",
        "scores": "Check the model; it gave scores that are no numbers.",
        "scroll": "Search without scroll.",
        "search_after": "Search with from and size instead of search_after.",
        "search_pipeline": "Say under upstream.pipelines in the main file what the pipeline "
        "does, or search with search_pipeline=_none.",
        "shard_failures": "Look at the cluster's health: shards failed.",
        "size_zero": "Ask for at least one hit.",
        "sort": "Remove sort, or sort by _score alone.",
        "sorted": "Remove sort: these hits are not ordered by relevance.",
        "starting": "Wait until the models are loaded.",
        "stored_fields": "Let the search return _id and _source.",
        "text_fetch": "Let the search return the fields that the plan reads, or allow the account "
        "to read them.",
        "timed_out": "Give the search more time: OpenSearch stopped it early.",
        "too_large": "Make the plan's rescore_window smaller, or return fewer fields.",
        "unknown_key": "Remove the unknown key from the body.",
        "unknown_plan": "Name a plan that exists.",
        "upstream": "Check that OpenSearch can be reached.",
        "upstream_status": "Send the search to OpenSearch alone; it mostly has a mistake.",
    }
)


def describe_reason(reason: str | None) -> dict[str, str | None]:
    """The reason, what it means, and what to do; the last two are None without a reason."""
    if reason is None:
        return {"reason": None, "meaning": None, "fix": None}
    return {
        "reason": reason,
        "meaning": REASONS.get(reason, "").replace("`", ""),
        "fix": FIXES.get(reason, "The reference lists all reasons and their settings."),
    }


def describe_outcome(outcome: Outcome) -> dict[str, Any]:
    """An outcome with its reason in words."""
    return {
        "status": outcome.status,
        "header": outcome.header().decode("ascii").partition(": ")[2],
        **describe_reason(outcome.reason),
    }
