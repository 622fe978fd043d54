"""A short fuzz of every path; `fuzz.py` as a program does a long one."""

import pytest

from tests.sidecar.rerank.conftest import Serve
from tests.sidecar.rerank.fuzz import fuzz

KEYS = {"k": {"id": "AKID", "secret": "s"}}


@pytest.mark.parametrize(
    "settings", [{}, {"tencent": {"keys": KEYS, "old_signatures": True}}], ids=["open", "signed"]
)
def test_no_request_makes_a_server_error(serve: Serve, settings: dict[str, object]) -> None:
    with serve(**settings) as api:
        seen = fuzz(api, seed=7, enough=lambda count: count >= 400)
    assert sum(seen.values()) == 400
