"""Writes docs/reach.md, and reads its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.reach.rows import ROWS

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "reach.md"

_HEAD: Final = """\
# Which requests are taken: {count} requests before and after

Each row is one request, as the client in the second column sends it. "Before" is the version
without `hybrid`, search pipelines, `ext.rescore`, `upstream.resign` and the paths of the rerank
clients. "After" is this version, with `upstream.pipelines`, a plan with `hybrid: widen`,
`apis.rerank.embeddings`, plans with `min_relevance` and `highlight`, a model of `kind: static` and,
in the rows `signed`, `upstream.resign`. All of these settings are off by default. The version
before has no route for the plans that it cannot read. The columns show the status, and `X-Rescore`
or what an API answers.

```
python -m tests.reach --before CHECKOUT_OF_THE_VERSION_BEFORE
```

OpenSearch 3.8.0 answers all searches but the `hybrid` ones. Those need the neural-search plugin,
which these nodes do not have: they get recorded-style answers with scores between 0 and 1. The
requests are in `tests/reach/rows.py`. A test sends them again and compares the last column.

| request | client | where | before | after |
|---|---|---|---|---|
"""


def write_page(before: Sequence[str], after: Sequence[str]) -> str:
    """The page; both columns have one text for each row."""
    lines = [
        f"| {row.what} | {row.client} | {row.where} | {old} | {new} |\n"
        for row, old, new in zip(ROWS, before, after, strict=True)
    ]
    return _HEAD.format(count=len(ROWS)) + "".join(lines)


def read_page() -> list[list[str]]:
    """The cells of each row of the table; none without a page."""
    if not PAGE.exists():
        return []
    lines = PAGE.read_text().splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]
