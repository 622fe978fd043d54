"""Which query texts a file has, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.evaluation.asked_queries import read_query_file
from sidecar.evaluation.files import BadFile


@pytest.mark.parametrize(
    ("content", "queries"),
    [
        ("red shoe\n\n blue  shoe \nhat\r\nblue shoe\n", ["blue shoe", "red shoe", "hat"]),
        ("1\tred shoe\n2\thats\tand more\n", ["red shoe", "hats and more"]),
        ('{"_id": "1", "text": "red shoe"}\n{"_id": "2", "text": "hat"}\n', ["red shoe", "hat"]),
        ("<top><num>1<title>red shoe</top>", ["red shoe"]),
    ],
)
def test_every_format_is_read_and_the_most_frequent_text_comes_first(
    tmp_path: Path, content: str, queries: list[str]
) -> None:
    path = tmp_path / "queries"
    path.write_text(content)
    assert read_query_file(path) == queries


def test_a_file_without_queries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queries"
    path.write_text("\n \n")
    with pytest.raises(BadFile, match="has no queries"):
        read_query_file(path)
