"""What can go wrong in a rescoring, each cause with the one word that users see.

`reason` is that word in the `X-Rescore` header, in the metric's label and in the log.
"""


class RescoreError(Exception):
    """A rescoring that could not be done; the caller returns the original order."""

    reason = "error"


class ModelFailed(RescoreError):
    """The model raised an error, or its backend has ended."""

    reason = "model"


class BadScores(RescoreError):
    """The number of scores is wrong, or a score is not finite or too large."""

    reason = "scores"


class DeadlinePassed(RescoreError):
    """Not one group was scored before the deadline."""

    reason = "deadline"


class Overloaded(RescoreError):
    """More work is waiting than can be done in time, so this rescoring was refused at once."""

    reason = "overload"


class NoText(RescoreError):
    """No hit of the window has any text in the fields that the plan names."""

    reason = "no_text"
