"""Index lists before they are decoded: which are too long, and their first name."""

from __future__ import annotations

import pytest

from sidecar.opensearch_rules.index_lists import cut_first_name, is_long_list


@pytest.mark.parametrize(
    ("encoded_list", "is_long"),
    [
        (b"docs", False),
        (b",".join([b"a"] * 300), False),
        (b",".join([b"a"] * 301), True),
        (b"%2C".join([b"a"] * 301), True),
        (b"%2c".join([b"a"] * 301), True),
        (b"a" * 4800, False),
        (b"a" * 4801, True),
    ],
)
def test_a_list_is_long_by_its_names_or_bytes(encoded_list: bytes, is_long: bool) -> None:
    assert is_long_list(encoded_list, 300) is is_long


@pytest.mark.parametrize(
    ("encoded_list", "name"),
    [
        (b"docs", b"docs"),
        (b"docs,more", b"docs"),
        (b"docs%2Cmore", b"docs"),
        (b"docs%2cmore", b"docs"),
        (b"a" * 1000 + b",more", b"a" * 766),
    ],
)
def test_the_first_name(encoded_list: bytes, name: bytes) -> None:
    assert cut_first_name(encoded_list) == name
