"""The service's own errors, each with the statuses that its model and its reference give."""

from __future__ import annotations

from sidecar.aws_json import AwsError


def access_denied(message: str) -> AwsError:
    """The caller is known, and may not do this."""
    return AwsError("AccessDeniedException", message, 403)


def not_found(plan_id: str) -> AwsError:
    """There is no plan of this id."""
    return AwsError(
        "ResourceNotFoundException",
        f"There is no rescore execution plan {plan_id}. Create one, or list those that exist.",
        404,
    )


def unavailable(arn: str) -> AwsError:
    """There is nothing of this ARN; the tag operations have this error in place of not_found."""
    return AwsError("ResourceUnavailableException", f"There is no resource {arn}.", 404)


def conflict(message: str) -> AwsError:
    """The plan is in a state that does not allow this, or a client token says something else."""
    return AwsError("ConflictException", message, 409)


def quota_exceeded(message: str) -> AwsError:
    """More plans or capacity units than the configuration allows."""
    return AwsError("ServiceQuotaExceededException", message, 402)


def throttled(message: str) -> AwsError:
    """Too much at the moment; the same request may succeed later."""
    return AwsError("ThrottlingException", message, 429)


def internal() -> AwsError:
    """A failure that is not the caller's; its cause is in the log, not in the answer."""
    return AwsError(
        "InternalServerException",
        "The request could not be carried out; the sidecar's log says why.",
        500,
        500,
    )
