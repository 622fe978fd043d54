"""SubmitFeedback: appends to a file which results users clicked or judged.

The file has one line of JSON per item. It is for evaluation; it does not affect the ranking. Like
Kendra, the sidecar accepts feedback for a day after the query.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.aws.errors import invalid, not_found
from sidecar.kendra.answering.query_ids import QueryIds

DAY = 24 * 60 * 60


class FeedbackFile:
    """Appends feedback to a file. Without a path, feedback is checked and dropped."""

    def __init__(self, path: Path | None, ids: QueryIds) -> None:
        self._path = path
        self._ids = ids
        self._writing = asyncio.Lock()

    async def submit(self, members: Mapping[str, Any], now: float) -> None:
        """Check and append the feedback of one request; `now` is in epoch seconds.

        Raises AwsError for feedback without items, and for a query that this sidecar has not
        answered within the last day. Raises OSError if the file cannot be written.
        """
        lines = read_feedback(members, now, self._ids)
        if self._path is None:
            return
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        async with self._writing:
            await asyncio.to_thread(_append, self._path, text)


def read_feedback(
    members: Mapping[str, Any], now: float, ids: QueryIds
) -> list[dict[str, str | int]]:
    """The lines to write for one request, as objects. Raises AwsError."""
    index_id, query_id = members["IndexId"], members["QueryId"]
    clicks = members.get("ClickFeedbackItems", ())
    judgments = members.get("RelevanceFeedbackItems", ())
    if not clicks and not judgments:
        raise invalid(
            "ClickFeedbackItems and RelevanceFeedbackItems are both empty; give at least one item."
        )
    query_time = ids.given_at(index_id, query_id)
    if query_time is None or not query_time <= now <= query_time + DAY:
        raise not_found(f"There was no query {query_id} in the last 24 hours.")
    for item in (*clicks, *judgments):
        if not item["ResultId"].startswith(f"{query_id}-"):
            raise invalid(f"The result {item['ResultId']} does not belong to the query {query_id}.")
    shared: dict[str, str | int] = {
        "index": index_id,
        "query": query_id,
        "submitted": int(now),
    }
    return [
        *({**shared, "result": item["ResultId"], "clicked": item["ClickTime"]} for item in clicks),
        *(
            {**shared, "result": item["ResultId"], "relevance": item["RelevanceValue"]}
            for item in judgments
        ),
    ]


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
