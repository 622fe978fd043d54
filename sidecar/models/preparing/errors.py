"""Why a model cannot be prepared."""

from __future__ import annotations


class CannotPrepare(ValueError):
    """The model cannot be prepared; another backend may run it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; write backend: sentence-transformers for this model")


class NeedsTorch(ValueError):
    """The model cannot be prepared from its files alone; with torch it may be possible."""
