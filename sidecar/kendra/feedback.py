"""SubmitFeedback: what users clicked and found relevant, appended to a file.

The file has one line of JSON an item, for evaluation; nothing is ranked by it. Like Kendra it
takes feedback for a day after the query.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.aws_errors import invalid, not_found
from sidecar.kendra.query_ids import QueryIds

DAY = 24 * 60 * 60


class FeedbackFile:
    """Appends feedback to a file; without a path it is checked and dropped."""

    def __init__(self, path: Path | None, ids: QueryIds) -> None:
        self._path = path
        self._ids = ids
        self._writing = asyncio.Lock()

    async def submit(self, members: Mapping[str, Any], now: float) -> None:
        """Take the feedback of one request; `now` in epoch seconds.

        Raises AwsError when it says nothing, or names a query that this sidecar did not answer
        within a day; OSError when the file cannot be written.
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
    """The lines to be kept of one request; raises AwsError."""
    index_id, query_id = members["IndexId"], members["QueryId"]
    clicks = members.get("ClickFeedbackItems", ())
    judgements = members.get("RelevanceFeedbackItems", ())
    if not clicks and not judgements:
        raise invalid("Give ClickFeedbackItems or RelevanceFeedbackItems; both are empty.")
    given = ids.given_at(index_id, query_id)
    if given is None or not given <= now <= given + DAY:
        raise not_found(f"There is no query {query_id} of the last 24 hours.")
    for item in (*clicks, *judgements):
        if not item["ResultId"].startswith(f"{query_id}-"):
            raise invalid(f"The result {item['ResultId']} is not of the query {query_id}.")
    shared: dict[str, str | int] = {
        "index": index_id,
        "query": query_id,
        "submitted": int(now),
    }
    return [
        *({**shared, "result": item["ResultId"], "clicked": item["ClickTime"]} for item in clicks),
        *(
            {**shared, "result": item["ResultId"], "relevance": item["RelevanceValue"]}
            for item in judgements
        ),
    ]


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
