"""tools/make_sample.py on a collection small enough to see through."""

import gzip
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from sidecar.demo.collection import read_collection

DOCUMENTS = {
    "judged": "nothing in it that the query says",
    "best": "red red fox",
    "second": "red fox and a long tail of other words that make it weaker",
    "third": "a fox in another long text that has only one of the two words",
    "none": "blue whale",
}


@pytest.fixture
def make_sample(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "tools"))
    return import_module("make_sample")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    folder = tmp_path / "whole"
    folder.mkdir()
    entries = [
        {"_id": name, "title": name.title(), "text": text, "year": 2020}
        for name, text in DOCUMENTS.items()
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    queries = [{"_id": "1", "text": "Red fox"}, {"_id": "2", "text": "not judged"}]
    (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\tjudged\t1\n")
    return folder


@pytest.mark.parametrize(
    ("count", "chosen"),
    [
        (1, {"judged"}),
        (2, {"judged", "best"}),
        (3, {"judged", "best", "second"}),
        (4, {"judged", "best", "second", "third"}),
        (9, {"judged", "best", "second", "third"}),
    ],
)
def test_judged_documents_come_first_then_the_best_by_bm25(
    make_sample: ModuleType, whole: Path, tmp_path: Path, count: int, chosen: set[str]
) -> None:
    make_sample.main(whole, tmp_path, count)

    collection = read_collection(tmp_path)
    assert {document.id for document in collection.documents} == chosen
    assert collection.queries == {"1": "Red fox"}
    assert collection.qrels == {"1": {"judged": 1}}


def test_the_same_input_gives_the_same_bytes(
    make_sample: ModuleType, whole: Path, tmp_path: Path
) -> None:
    make_sample.main(whole, tmp_path, 3)
    first = (tmp_path / "corpus.jsonl.gz").read_bytes()
    # A packed corpus is the same corpus.
    (whole / "corpus.jsonl.gz").write_bytes(gzip.compress((whole / "corpus.jsonl").read_bytes()))
    make_sample.main(whole, tmp_path, 3)

    assert (tmp_path / "corpus.jsonl.gz").read_bytes() == first
