"""The errors that several AWS services have, with the HTTP statuses of the services' models."""

from __future__ import annotations

from sidecar.aws.json import AwsError


def access_denied(message: str) -> AwsError:
    """The client is known but may not do this."""
    return AwsError("AccessDeniedException", message, 403)


def not_found(message: str) -> AwsError:
    """The request names something that does not exist."""
    return AwsError("ResourceNotFoundException", message, 404)


def conflict(message: str) -> AwsError:
    """The request names something whose state does not allow this."""
    return AwsError("ConflictException", message, 409)


def unavailable(message: str) -> AwsError:
    """The same as `conflict`, for operations whose model has no ConflictException."""
    return AwsError("ResourceUnavailableException", message)


def quota_exceeded(message: str) -> AwsError:
    """More of something than the configuration allows."""
    return AwsError("ServiceQuotaExceededException", message, 402)


def throttled(message: str) -> AwsError:
    """There is too much work at the moment; the same request may succeed later."""
    return AwsError("ThrottlingException", message, 429)


def internal(
    message: str = "The request could not be carried out; the sidecar's log says why.",
) -> AwsError:
    """A fault of the sidecar; its cause is in the log, not in the answer."""
    return AwsError("InternalServerException", message, 500, 500)


def invalid(message: str) -> AwsError:
    """The members of a request contradict each other; `message` says how."""
    return AwsError("ValidationException", message)
