"""Bodies with too many values, or that are not JSON, are refused."""

from __future__ import annotations

import pytest

from sidecar.api.json_bodies import TooManyValues, parse_json


def test_more_than_allowed_is_not_parsed() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1, 2]}', 4) == {"a": [1, 2]}
    with pytest.raises(TooManyValues):
        parse_json(b'{"a": [1, 2]}', 3)
    with pytest.raises(ValueError, match="NaN is not JSON"):
        parse_json(b"[NaN]", 10)
