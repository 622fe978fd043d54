import gzip
import json
from pathlib import Path

import pytest

from sidecar.demo.collection import SAMPLE, SampleDocument, read_collection


def write_folder(folder: Path, judged_query: str = "q", judged_document: str = "d") -> Path:
    document = json.dumps({"_id": "d", "title": "Títle", "text": "Text."})
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(f"{document}\n".encode()))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "what?"}\n\n')
    (folder / "qrels.tsv").write_text(
        f"query-id\tcorpus-id\tscore\n{judged_query}\t{judged_document}\t2\n"
    )
    return folder


def test_a_folder_is_read(tmp_path: Path) -> None:
    collection = read_collection(write_folder(tmp_path))

    assert collection.documents == (SampleDocument("d", "Títle", "Text."),)
    assert collection.queries == {"q": "what?"}
    assert collection.qrels == {"q": {"d": 2}}


def test_a_judgment_of_an_unknown_query_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="judges query other, which does not exist"):
        read_collection(write_folder(tmp_path, judged_query="other"))


def test_a_judgment_of_an_unknown_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="judges document other, not in the corpus"):
        read_collection(write_folder(tmp_path, judged_document="other"))


def test_the_sample_is_what_its_notice_says() -> None:
    collection = read_collection(SAMPLE)
    notice = (SAMPLE / "NOTICE.md").read_text()

    judged = {document for grades in collection.qrels.values() for document in grades}
    judgments = sum(len(grades) for grades in collection.qrels.values())
    assert f"{len(collection.documents):,} titles and abstracts" in notice
    assert f"{len(collection.queries)} claims" in notice
    assert f"{judgments} judgments" in notice
    assert f"all {len(judged)} that a judgment names" in notice
    assert collection.qrels.keys() == collection.queries.keys()


def test_the_sample_is_small_enough_to_be_bundled() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 1_000_000
