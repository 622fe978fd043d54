"""`log`: what the log contains, and how its lines look."""

from __future__ import annotations

from typing import Literal

from pipelines.strict import Strict


class LogSettings(Strict):
    format: Literal["text", "json"] = "text"
    """`json`: each line is one JSON object with `time`, `level`, `logger` and `message`, for
    programs that collect logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines to write. `serve --verbose` is `debug`."""

    searches: Literal["off", "failed", "all"] = "off"
    """One line for each search of an index with a route, whatever the level is: for none of them,
    for those whose status is `failed`, or for all."""

    query_text: bool = False
    """Whether these lines contain the query text, at most 500 characters of it. Query texts may be
    personal data."""
