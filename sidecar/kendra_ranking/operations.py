"""Every operation of the service and the shape of its input, declared once for all wires.

Source: the service's Smithy model of 2022-10-19. The rules for tags, and for members of a document
that exclude each other, are from the service's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.aws.shapes import NO_CONTROLS, Items, Number, Structure, Text, Whole
from sidecar.config.kendra_ranking import KendraRanking

SERVICE = "AWSKendraRerankingFrontendService"
SIGNING_NAME = "kendra-ranking"

LARGEST_SCORE = 100_000

_PLAN_ID = Text(36, 36, "[a-zA-Z0-9][a-zA-Z0-9-]*")
_NAME = Text(1, 1000, "[a-zA-Z0-9][a-zA-Z0-9_-]*")
_DESCRIPTION = Text(0, 1000, NO_CONTROLS)
_CAPACITY = Structure({"RescoreCapacityUnits": Whole(0)}, frozenset({"RescoreCapacityUnits"}))
_ARN = Text(1, 1011)
_TAG_KEY = Text(1, 128, r"[\w .:/=+@-]*")
_TAG = Structure(
    {"Key": _TAG_KEY, "Value": Text(0, 256, r"[\w .:/=+@-]*")}, frozenset({"Key", "Value"})
)
_TAGS = Items(_TAG, 0, 200)
_TOKENS = Items(Text(1, 2048), 1)


@dataclass(frozen=True, slots=True)
class Rest:
    """How an operation is called on the REST wire.

    `path` has no slash at its ends, and `{}` in place of the member `path_member`. `query` maps the
    names of query parameters to members.
    """

    method: str
    path: str
    path_member: str | None = None
    query: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: the shape of its input, and its REST form if it has one."""

    name: str
    input: Structure
    rest: Rest | None = None


def declare_operations(settings: KendraRanking) -> dict[str, Operation]:
    """All operations by name. `strict_quotas` decides how strictly documents are checked."""
    plans = "rescore-execution-plans"
    tags_input = Structure(
        {"ResourceARN": _ARN, "Tags": _TAGS},
        frozenset({"ResourceARN", "Tags"}),
        rule=_tags_are_unique,
    )
    declared = (
        Operation(
            "CreateRescoreExecutionPlan",
            Structure(
                {
                    "Name": _NAME,
                    "Description": _DESCRIPTION,
                    "CapacityUnits": _CAPACITY,
                    "Tags": _TAGS,
                    "ClientToken": Text(1, 64, r"[\x00-\x7F]+"),
                },
                frozenset({"Name"}),
                rule=_tags_are_unique,
            ),
            Rest("POST", plans),
        ),
        Operation(
            "ListRescoreExecutionPlans",
            Structure({"NextToken": Text(1, 800, NO_CONTROLS), "MaxResults": Whole(1, 50)}),
            Rest("GET", plans, query={"nextToken": "NextToken", "maxResults": "MaxResults"}),
        ),
        Operation(
            "DescribeRescoreExecutionPlan",
            Structure({"Id": _PLAN_ID}, frozenset({"Id"})),
            Rest("GET", f"{plans}/{{}}", "Id"),
        ),
        Operation(
            "UpdateRescoreExecutionPlan",
            Structure(
                {
                    "Id": _PLAN_ID,
                    "Name": _NAME,
                    "Description": _DESCRIPTION,
                    "CapacityUnits": _CAPACITY,
                },
                frozenset({"Id"}),
            ),
            Rest("PUT", f"{plans}/{{}}", "Id"),
        ),
        Operation(
            "DeleteRescoreExecutionPlan",
            Structure({"Id": _PLAN_ID}, frozenset({"Id"})),
            Rest("DELETE", f"{plans}/{{}}", "Id"),
        ),
        Operation(
            "Rescore",
            Structure(
                {
                    "RescoreExecutionPlanId": _PLAN_ID,
                    "SearchQuery": Text(1, 1000),
                    "Documents": Items(_document(settings.strict_quotas), 1),
                },
                frozenset({"RescoreExecutionPlanId", "SearchQuery", "Documents"}),
            ),
            Rest("POST", f"{plans}/{{}}/rescore", "RescoreExecutionPlanId"),
        ),
        Operation("TagResource", tags_input),
        Operation(
            "UntagResource",
            Structure(
                {"ResourceARN": _ARN, "TagKeys": Items(_TAG_KEY, 0, 200)},
                frozenset({"ResourceARN", "TagKeys"}),
            ),
        ),
        Operation(
            "ListTagsForResource", Structure({"ResourceARN": _ARN}, frozenset({"ResourceARN"}))
        ),
    )
    return {operation.name: operation for operation in declared}


def _document(strict: bool) -> Structure:
    # The model forbids control characters, but real texts have line breaks. Unless strict, the
    # door replaces them instead of refusing the text.
    pattern = NO_CONTROLS if strict else None
    return Structure(
        {
            "Id": Text(1, 2048),
            "GroupId": Text(1, 2048),
            "Title": Text(1, 1024, pattern),
            "Body": Text(1, 2048, pattern),
            "TokenizedTitle": _TOKENS,
            "TokenizedBody": _TOKENS,
            "OriginalScore": Number(-LARGEST_SCORE, LARGEST_SCORE, bend=not strict),
        },
        frozenset({"Id", "OriginalScore"}),
        rule=_one_form_of_each_text,
    )


def _one_form_of_each_text(document: Mapping[str, object]) -> str | None:
    for text in ("Title", "Body"):
        if text in document and f"Tokenized{text}" in document:
            return f"Member must have {text} or Tokenized{text}, not both"
    return None


def _tags_are_unique(members: Mapping[str, object]) -> str | None:
    tags = members.get("Tags")
    keys = [str(tag["Key"]).casefold() for tag in tags] if isinstance(tags, list) else []
    if len(set(keys)) < len(keys):
        return "Member tags must have keys that differ, whatever their case"
    return None


def find_by_path(
    operations: Mapping[str, Operation], method: str, path: str
) -> tuple[Operation, str] | None:
    """The operation with this method and path, and its path member; None if there is none.

    Slashes at the ends and repeated slashes do not matter. A base path may stand before the path.
    """
    parts = [part for part in path.split("/") if part]
    for operation in operations.values():
        rest = operation.rest
        if rest is None or rest.method != method:
            continue
        pattern = "(?:.*/)?" + re.escape(rest.path).replace(re.escape("{}"), "([^/]+)")
        if match := re.fullmatch(pattern, "/".join(parts)):
            return operation, match[1] if rest.path_member else ""
    return None
