"""`tools/kendra_runs.py` asks a served index and writes runs in the order that it returns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kendra.replies import ids
from tests.kendra.serving import UTF_16, Kendra

TOOL = Path(__file__).parents[2] / "tools" / "kendra_runs.py"
QUERIES = {"q1": "copper kettle", "q2": "expression of genes in cells", "q3": "xqzvwkjh"}


def run_tool(kendra: Kendra, queries: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, str(TOOL), "--api", f"http://{kendra.sidecar.api}"),
            *("--index-id", UTF_16, "--queries", str(queries), "--out", str(out)),
        ],
        capture_output=True,
        text=True,
        cwd=TOOL.parents[1],
    )


def test_the_runs_have_every_query_in_the_order_of_the_answers(
    kendra: Kendra, tmp_path: Path
) -> None:
    lines = (json.dumps({"_id": name, "text": text}) for name, text in QUERIES.items())
    (tmp_path / "queries.jsonl").write_text("\n".join(lines))
    done = run_tool(kendra, tmp_path / "queries.jsonl", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    runs: dict[str, dict[str, list[str]]] = {}
    for name in ("query", "retrieve"):
        for line in (tmp_path / "runs" / f"{name}.run").read_text().splitlines():
            query, _, document, rank, _, tag = line.split()
            ranked = runs.setdefault(name, {}).setdefault(query, [])
            ranked.append(document)
            assert (int(rank), tag) == (len(ranked), name)
    for query in ("q1", "q2"):
        reply = kendra.client.query(
            IndexId=UTF_16,
            QueryText=QUERIES[query],
            QueryResultTypeFilter="DOCUMENT",
            PageSize=100,
        )
        assert runs["query"][query] == ids(reply)
        assert runs["retrieve"][query][:10] == runs["query"][query][:10]
    assert "q3" not in runs["query"]


@pytest.mark.parametrize("content", ["", "{"])
def test_queries_that_cannot_be_read_are_named(
    kendra: Kendra, tmp_path: Path, content: str
) -> None:
    (tmp_path / "queries.jsonl").write_text(content)
    done = run_tool(kendra, tmp_path / "queries.jsonl", tmp_path / "runs")
    assert done.returncode == 2
    assert "queries.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
