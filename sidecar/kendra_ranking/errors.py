"""The errors that name a rescore execution plan or a resource; the others are in aws_errors."""

from __future__ import annotations

from sidecar.aws_errors import not_found
from sidecar.aws_json import AwsError


def no_plan(plan_id: str) -> AwsError:
    """There is no plan of this id."""
    return not_found(
        f"There is no rescore execution plan {plan_id}. Create one, or list those that exist."
    )


def no_resource(arn: str) -> AwsError:
    """There is nothing of this ARN; the tag operations have this error in place of not_found."""
    return AwsError("ResourceUnavailableException", f"There is no resource {arn}.", 404)
