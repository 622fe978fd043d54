"""Reads OpenSearch's errors, and decides what to do about a failed widened search.

The client must not get an error that its own search would not have got. And an overloaded
OpenSearch must not get a second search. The types of an error's causes tell these cases apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

Verdict = Literal["same", "overload", "own"]
"""`same`: the client's own search would get the same answer. `overload`: no search is sent again.
`own`: the widened window may be the cause, so the client's own search is sent."""

REFUSED_STATUSES: Final = (401, 403, 404)
"""Refusals of the caller or the index."""

_SAME: Final = frozenset({"query_shard_exception"})
"""Errors of the query itself, whose messages do not depend on the page. Parsing errors are not
here, because their messages have a position in the body."""

_OVERLOAD: Final = frozenset(
    {
        *("rejected_execution_exception", "circuit_breaking_exception", "task_cancelled_exception"),
        *("no_shard_available_action_exception", "unavailable_shards_exception"),
        *("node_not_connected_exception", "node_disconnected_exception", "node_closed_exception"),
        *("connect_transport_exception", "receive_timeout_transport_exception"),
    }
)
_RESULT_WINDOW: Final = re.compile(
    r"Result window is too large, from \+ size must be less than or equal to: \[(\d{1,9})\] "
    r"but was \[(\d{1,9})\]\."
)


class Cause(NamedTuple):
    """OpenSearch's type and text for why a shard or a whole search failed."""

    type: str
    reason: str


def judge(status: int, causes: Sequence[Cause]) -> Verdict:
    """What to do about an error with this status and these causes."""
    if status in REFUSED_STATUSES:
        return "same"
    if status == 429 or status >= 500:
        return "overload"
    return "same" if causes and all(cause.type in _SAME for cause in causes) else "own"


def are_shards_missing(causes: Sequence[Cause]) -> bool:
    """Whether shards failed because of overload or missing copies, not because of the search."""
    return all(cause.type in _OVERLOAD for cause in causes)


def read_result_window(causes: Sequence[Cause], fetch: int) -> int | None:
    """The smallest `index.max_result_window` that refused a search for `fetch` hits, or None.

    Only OpenSearch's own error counts. A script can raise an error with the same text, but its type
    differs.
    """
    limits = [
        int(match[1])
        for cause in causes
        if cause.type == "illegal_argument_exception"
        and (match := _RESULT_WINDOW.match(cause.reason))
        and int(match[2]) == fetch
    ]
    return min(limits, default=None)


def read_error_causes(content: bytes) -> tuple[Cause, ...]:
    """The root causes in an error's body; none if it is no error of OpenSearch."""
    try:
        error = json.loads(content)
    except (ValueError, RecursionError):
        return ()
    return read_causes(error)


def read_causes(answer: object) -> tuple[Cause, ...]:
    """The root causes of a parsed error."""
    error = answer.get("error") if isinstance(answer, dict) else None
    causes = error.get("root_cause") if isinstance(error, dict) else None
    return _read(causes)


def read_shard_causes(shards: Mapping[str, Any]) -> tuple[Cause, ...]:
    """Why shards failed, from a response's `_shards`."""
    failures = shards.get("failures")
    if not isinstance(failures, list):
        return ()
    return _read([one.get("reason") if isinstance(one, dict) else None for one in failures])


def _read(causes: object) -> tuple[Cause, ...]:
    if not isinstance(causes, list):
        return ()
    return tuple(
        Cause(str(cause.get("type")), str(cause.get("reason")))
        if isinstance(cause, dict)
        else Cause("", "")
        for cause in causes
    )
