"""The errors that the AWS doors share, with the statuses that the services' models give them."""

from __future__ import annotations

from sidecar.aws_json import AwsError


def access_denied(message: str) -> AwsError:
    """The caller is known, and may not do this."""
    return AwsError("AccessDeniedException", message, 403)


def not_found(message: str) -> AwsError:
    """What the request names is not there."""
    return AwsError("ResourceNotFoundException", message, 404)


def conflict(message: str) -> AwsError:
    """What the request names is in a state that does not allow this."""
    return AwsError("ConflictException", message, 409)


def unavailable(message: str) -> AwsError:
    """The same, for the operations whose model has no conflict."""
    return AwsError("ResourceUnavailableException", message)


def quota_exceeded(message: str) -> AwsError:
    """More of something than the configuration allows."""
    return AwsError("ServiceQuotaExceededException", message, 402)


def throttled(message: str) -> AwsError:
    """Too much at the moment; the same request may succeed later."""
    return AwsError("ThrottlingException", message, 429)


def internal(
    message: str = "The request could not be carried out; the sidecar's log says why.",
) -> AwsError:
    """A failure that is not the caller's; its cause is in the log, not in the answer."""
    return AwsError("InternalServerException", message, 500, 500)


def invalid(message: str) -> AwsError:
    """A request whose members do not go together, in a message of its own words."""
    return AwsError("ValidationException", message)
