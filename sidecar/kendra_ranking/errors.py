"""Errors that name a rescore execution plan or a resource; the others are in `sidecar/aws/`."""

from __future__ import annotations

from sidecar.aws.errors import not_found
from sidecar.aws.json import AwsError


def no_plan(plan_id: str) -> AwsError:
    """There is no plan with this id."""
    return not_found(
        f"There is no rescore execution plan {plan_id}. Create one, or list those that exist."
    )


def no_resource(arn: str) -> AwsError:
    """There is no resource with this ARN. Tag operations use this error instead of not_found."""
    return AwsError("ResourceUnavailableException", f"There is no resource {arn}.", 404)
