from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sidecar.evaluation import impressions
from sidecar.evaluation.files import BadFile
from sidecar.evaluation.impressions import Impression, read_impressions

GOOD = 'query,shown,clicked\n"red  shoes, new",p7|p2,p2\n\nblue,p1,\n'


@pytest.mark.parametrize("compressed", [False, True])
def test_pages_are_read(compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_bytes(gzip.compress(GOOD.encode()) if compressed else GOOD.encode())
    assert list(read_impressions(path)) == [
        Impression("red shoes, new", ("p7", "p2"), frozenset({1})),
        Impression("blue", ("p1",), frozenset()),
    ]


def test_ids_may_have_another_separator(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("q,a|1 b|2,b|2\n")
    (page,) = read_impressions(tmp_path / "c.csv", " ")
    assert page == Impression("q", ("a|1", "b|2"), frozenset({1}))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("q,a|b,a\nq,a|b\n", r":2: has 2 columns, not query,shown,clicked"),
        ("q,a|b,a\n ,a,a\n", r":2: the query is blank"),
        ("q,a||b,a\n", r":1: an id in shown is blank"),
        ("q,a|b|a,a\n", r":1: shows a document twice"),
        ("q,a|b,c\n", r":1: 'c' was clicked and not shown"),
        ('q,"a|b,a\n', r":1: is not CSV"),
        ("query,shown,clicked\n", r": has no pages"),
        ("q," + "|".join(map(str, range(201))) + ",1\n", r":1: shows 201 documents; 200 are read"),
        ("q,a,a\n" * 4, r":4: is too long; 3 pages are read at most"),
    ],
)
def test_a_mistake_has_its_line(
    lines: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impressions, "MOST_PAGES", 3)
    (tmp_path / "c.csv").write_text(lines)
    with pytest.raises(BadFile, match=r"c\.csv" + message):
        list(read_impressions(tmp_path / "c.csv"))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe,a,a\n", gzip.compress(b"q,a,a\n" * 99, mtime=0)[:30]]
)
def test_damaged_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(BadFile, match="UTF-8|cannot be read"):
        list(read_impressions(tmp_path / "c.csv"))
