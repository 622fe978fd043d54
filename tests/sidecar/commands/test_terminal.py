"""`--open`: a command ends with the page, which has what the command worked on."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import parse_qs

from sidecar.demo.collection import Collection
from tests.sidecar.commands.conftest import Workplace

QUERY = "vitamin deficiency increases blood levels"
# It reads the page as a browser does, notes what it got, and presses Ctrl-C.
BROWSER = """
import json, os, signal, sys
from urllib.request import Request, urlopen

link, notes = sys.argv[1:]
page, _, state = link.partition("#")
call = Request(f"{page}api/collection", headers={"X-Rescore-Page": "1"})
with urlopen(page) as answer, urlopen(call) as offered, open(notes, "w") as file:
    html, collection = answer.read().decode(), json.load(offered)
    json.dump({"html": html, "collection": collection, "state": state}, file)
os.kill(os.getppid(), signal.SIGINT)
"""


def open_page(workplace: Workplace, *arguments: str) -> dict[str, Any]:
    """What the browser got; `state` as names with one value each."""
    script, notes = workplace.folder / "browser.py", workplace.folder / "notes.json"
    script.write_text(BROWSER)
    browser = f"{sys.executable} {script} %s {notes}"
    done = workplace.run(*arguments, "--json", "--open", browser=browser)
    assert done.returncode == 0, done.stderr
    assert "Ctrl-C ends it." in done.stderr
    json.loads(done.stdout)
    noted: dict[str, Any] = json.loads(notes.read_text())
    assert "<title>Rescore Sidecar</title>" in noted["html"]
    return {**noted, "state": {name: one for name, (one,) in parse_qs(noted["state"]).items()}}


def test_explain_opens_its_search(workplace: Workplace) -> None:
    noted = open_page(workplace, "explain", "--index", "rescore-demo", "--query", QUERY)
    assert noted["state"] == {"index": "rescore-demo", "q": QUERY, "b": "words"}


def test_evaluate_opens_its_queries_and_judgments(
    workplace: Workplace, collection: Collection
) -> None:
    workplace.plan("words", fusion={"method": "relative", "weight": 0})
    queries, qrels = workplace.folder / "queries.jsonl", workplace.folder / "qrels.txt"
    lists = ("--queries", str(queries), "--qrels", str(qrels))
    noted = open_page(workplace, "evaluate", "--index", "rescore-demo", *lists)
    assert noted["state"] == {"view": "queries", "index": "rescore-demo", "b": "words"}
    assert noted["collection"]["queries"] == [list(one) for one in collection.queries.items()]
    assert noted["collection"]["grades"].keys() == collection.qrels.keys()
