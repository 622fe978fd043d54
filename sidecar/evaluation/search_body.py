"""The search that an evaluation sends for each query: the user's own body, or a plain one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.plan import Plan
from sidecar.evaluation.files import BadFile, read_text
from sidecar.opensearch.search_request import list_plan_fields

_SLOT = "{{query}}"


def read_template(path: Path) -> dict[str, Any]:
    """A search body with `{{query}}` wherever the query text belongs.

    Raises BadFile if it is not a JSON object, or does not contain `{{query}}`.
    """
    text = read_text(path)
    try:
        template = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadFile(
            path, error.lineno, f"is not JSON ({error.msg}); write {_SLOT} inside quotes"
        ) from None
    if not isinstance(template, dict):
        raise BadFile(path, 1, "is not a search body: it must be an object")
    if _fill_in(template, "") == template:
        raise BadFile(path, 0, f"has no {_SLOT} in a string; put it where the query text belongs")
    return template


def plain_template(plan: Plan) -> dict[str, Any]:
    """A `multi_match` on the fields that the plan reads."""
    fields = list(dict.fromkeys(list_plan_fields(plan.model_copy(update={"group_by": None}))))
    return {"query": {"multi_match": {"query": _SLOT, "fields": fields}}}


def search_body(template: Mapping[str, Any], query_text: str, size: int) -> dict[str, Any]:
    """The template with the query text filled in, for the first `size` hits."""
    body: dict[str, Any] = _fill_in(dict(template), query_text)
    body.pop("from", None)
    return {**body, "size": size}


def _fill_in(value: Any, query_text: str) -> Any:
    if isinstance(value, str):
        return value.replace(_SLOT, query_text)
    if isinstance(value, dict):
        return {key: _fill_in(item, query_text) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, query_text) for item in value]
    return value
