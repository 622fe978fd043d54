"""SubmitFeedback: what is accepted, what is refused, and what is written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.aws.json import AwsError
from sidecar.kendra.answering.query_ids import QueryIds
from sidecar.kendra.feedback import FeedbackFile

INDEX = "11111111-2222-4333-8444-555555555555"
NOW = 1_700_000_000
DAY = 24 * 60 * 60
IDS = QueryIds(b"a key of these tests")
QUERY = IDS.new(INDEX, NOW)
CLICK = {"ResultId": f"{QUERY}-1", "ClickTime": NOW + 5}
JUDGEMENT = {"ResultId": f"{QUERY}-2", "RelevanceValue": "NOT_RELEVANT"}


def submit(path: Path | None, now: float = NOW + 60, **members: Any) -> None:
    file = FeedbackFile(path, IDS)
    asyncio.run(file.submit({"IndexId": INDEX, "QueryId": QUERY, **members}, now))


def refusal(**members: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        submit(None, **members)
    return caught.value.name, caught.value.message


def test_feedback_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    submit(path, ClickFeedbackItems=[CLICK], RelevanceFeedbackItems=[JUDGEMENT])
    submit(path, NOW + DAY, RelevanceFeedbackItems=[JUDGEMENT])
    shared = {"index": INDEX, "query": QUERY, "submitted": NOW + 60}
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {**shared, "result": CLICK["ResultId"], "clicked": NOW + 5},
        {**shared, "result": JUDGEMENT["ResultId"], "relevance": "NOT_RELEVANT"},
        {**shared, "submitted": NOW + DAY, "result": f"{QUERY}-2", "relevance": "NOT_RELEVANT"},
    ]


def test_both_lists_empty_is_refused() -> None:
    both: dict[str, Any] = {"ClickFeedbackItems": [], "RelevanceFeedbackItems": []}
    for members in ({}, both):
        assert refusal(**members)[0] == "ValidationException"


def test_queries_are_known_for_a_day() -> None:
    assert refusal(now=NOW + DAY + 1, ClickFeedbackItems=[CLICK]) == (
        "ResourceNotFoundException",
        f"There was no query {QUERY} in the last 24 hours.",
    )
    other = QueryIds().new(INDEX, NOW)
    assert refusal(QueryId=other, ClickFeedbackItems=[CLICK])[0] == "ResourceNotFoundException"
    submit(None, ClickFeedbackItems=[CLICK])


def test_a_result_must_belong_to_the_query() -> None:
    name, message = refusal(RelevanceFeedbackItems=[{**JUDGEMENT, "ResultId": "other-1"}])
    assert (name, message) == (
        "ValidationException",
        f"The result other-1 does not belong to the query {QUERY}.",
    )
