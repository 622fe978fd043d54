"""OpenSearch's default limits. An administrator may have set other values on a cluster."""

from __future__ import annotations

from typing import Final

MAX_RESULT_WINDOW: Final = 10_000
"""`index.max_result_window`: the largest `from` + `size` of a search."""

REQUEST_LINE_BYTES: Final = 4096
"""`http.max_initial_line_length`: bytes of a request's first line."""

INDEX_NAME_BYTES: Final = 255
"""Bytes of an index's name."""
