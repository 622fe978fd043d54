"""The list of index names in a request's path, before it is decoded."""

from __future__ import annotations

import re
from typing import Final

from sidecar.opensearch_rules.limits import INDEX_NAME_BYTES

_COMMAS: Final = (b",", b"%2C", b"%2c")
_comma: Final = re.compile(b"|".join(_COMMAS))
_AVERAGE_NAME_BYTES: Final = 16


def is_long_list(encoded_list: bytes, max_names: int) -> bool:
    """Whether the list has more than `max_names` names, or names that are much too long.

    A name may have 16 bytes on average, so that the time to decode the list is bounded too.
    """
    max_bytes = _AVERAGE_NAME_BYTES * max(max_names, INDEX_NAME_BYTES)
    return len(encoded_list) > max_bytes or sum(map(encoded_list.count, _COMMAS)) >= max_names


def cut_first_name(encoded_list: bytes) -> bytes:
    """The first name of the list, still encoded. A name that is too long is cut."""
    # Each byte of a name takes at most three characters.
    return _comma.split(encoded_list[: 3 * INDEX_NAME_BYTES + 1], 1)[0]
