"""Opens the files of an evaluation: text or gzip, and JSON as one value or one value per line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class BadFile(ValueError):
    """A file that cannot be used; the message is `file:line: what is wrong`."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        place = f"{path}:{line}" if line else str(path)
        super().__init__(f"{place}: {message}")


def read_text(path: Path) -> str:
    """The file as text, decompressed if it is a gzip file. Raises BadFile."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile(path, 0, "is not UTF-8 text") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadFile(path, 0, f"cannot be read: {reason}") from None


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number, counted from 1."""
    # Not `splitlines`: it also breaks lines at characters that a query may contain, such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def read_json_entries(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """One JSON value per line, or a single value for the whole file, each with its first line.

    Raises BadFile for the first value that is not JSON.
    """
    first = next(numbered_lines(text), (1, ""))
    try:
        json.loads(first[1])
    except ValueError:
        # The first line is not a complete value, so the whole file must be one.
        try:
            yield first[0], json.loads(text)
        except json.JSONDecodeError as error:
            raise BadFile(path, error.lineno, f"is not JSON: {error.msg}") from None
        return
    for number, line in numbered_lines(text):
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise BadFile(path, number, f"is not JSON: {error.msg}") from None
