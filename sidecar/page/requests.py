"""Reads what the page asks: one search, and what of each hit it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sidecar.page.refusals import PageRefusal

MOST_HITS: Final = 1000
Parts = Literal["all", "scores", "none"]

_MOST_FIELDS: Final = 20
_LONGEST_NAME: Final = 512
_LONGEST_ACCOUNT: Final = 8192


@dataclass(frozen=True, slots=True)
class ShownFields:
    """Names of the fields that make the title, further fields, and the field with an image."""

    title: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    image: str | None = None


@dataclass(frozen=True, slots=True)
class PageSearch:
    """A search for the first `size` hits; without `plan`, OpenSearch alone orders them.

    `patient`: the models get all the time they need, instead of the plan's deadline. `parts`: what
    the answer has of the whole window: its scores and texts, its scores, or nothing.
    """

    index: str
    body: Mapping[str, Any]
    plan: str | None
    size: int
    patient: bool
    parts: Parts
    shown: ShownFields


def read_page_search(value: Any) -> PageSearch:
    """Read the page's JSON. Raises PageRefusal."""
    asked = _object(value, "the request")
    index = _text(asked, "index")
    if not index or index.startswith("_") or "/" in index:
        raise PageRefusal("request", "write the name of an index or an alias")
    size = asked.get("size", 10)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST_HITS:
        raise PageRefusal("request", f"size must be a whole number from 1 to {MOST_HITS}")
    shown = _object(asked.get("shown", {}), "shown")
    plan = asked.get("plan")
    return PageSearch(
        index,
        _object(asked.get("body"), "body"),
        None if plan is None else _text(asked, "plan"),
        size,
        asked.get("patient", True) is True,
        _parts(asked.get("parts", "all")),
        ShownFields(
            _names(shown, "title"),
            _names(shown, "fields"),
            None if shown.get("image") is None else _text(shown, "image"),
        ),
    )


def read_account(authorization: str | None) -> bytes | None:
    """The user's account for OpenSearch as bytes of a header field. Raises PageRefusal."""
    if not authorization:
        return None
    if len(authorization) > _LONGEST_ACCOUNT or not authorization.isprintable():
        raise PageRefusal("request", "the account for OpenSearch cannot be sent")
    try:
        return authorization.encode("latin-1")
    except UnicodeEncodeError:
        raise PageRefusal("request", "the account for OpenSearch cannot be sent") from None


def _parts(value: Any) -> Parts:
    if value not in ("all", "scores", "none"):
        raise PageRefusal("request", "parts must be all, scores or none")
    parts: Parts = value
    return parts


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PageRefusal("request", f"{name} must be a JSON object")
    return value


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or len(text) > _LONGEST_NAME:
        raise PageRefusal("request", f"{key} must be a text of at most {_LONGEST_NAME} characters")
    return text


def _names(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = value.get(key, [])
    if (
        not isinstance(names, list)
        or len(names) > _MOST_FIELDS
        or not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names)
    ):
        raise PageRefusal("request", f"{key} must be a list of at most {_MOST_FIELDS} field names")
    return tuple(names)
