import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.evaluation.files import BadFile
from sidecar.evaluation.judgments import Judgments, read_judgments

GRADES = {"1": {"d1": 2.0, "d2": 0.0}, "7": {"d1": 1.0}}
TREC = "1 0 d1 2\n1 0 d2 0\n\n7\t0\td1\t1\n"
BEIR = "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\t0\n7\td1\t1\n"
BEIR_JSONL = "\n".join(
    json.dumps({"query-id": query, "corpus-id": document, "score": int(grade)})
    for query, grades in GRADES.items()
    for document, grade in grades.items()
)
RATED = [
    {"query": "red dress", "ratings": [{"docId": "B1", "rating": "3.000"}]},
    {"query": "a, b", "ratings": [{"docId": "B2", "rating": 0.5}, {"docId": "B1", "rating": 0}]},
]
BY_TEXT = {"red dress": {"B1": 3.0}, "a, b": {"B2": 0.5, "B1": 0.0}}
IMPORT = {"name": "n", "type": "IMPORT_JUDGMENT", "judgmentRatings": RATED}
SHOWN = {"hits": {"hits": [{"_source": {"id": "x", "judgmentRatings": RATED}}]}}
CSV = 'query,docid,rating\r\nred dress,B1,3.000\r\n"a, b",B2,0.5\r\n"a, b",B1,0\r\n'


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "qrels"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [TREC, BEIR, BEIR.partition("\n")[2], BEIR_JSONL, "\ufeff" + BEIR, TREC.replace("\n", "\r\n")],
    ids=["trec", "beir", "beir without header", "beir jsonl", "byte order mark", "crlf"],
)
def test_judgments_by_id(tmp_path: Path, text: str) -> None:
    assert read_judgments(write(tmp_path, text)) == Judgments(GRADES, by_text=False)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(IMPORT),
        json.dumps(IMPORT, indent=2),
        json.dumps(SHOWN),
        "\n".join(map(json.dumps, RATED)),
        CSV,
        CSV.partition("\n")[2],
        CSV.replace("query,docid", "Query, docId"),
    ],
    ids=["import", "indented", "shown", "a query a line", "csv", "csv without header", "spelling"],
)
def test_judgments_of_the_search_relevance_workbench(tmp_path: Path, text: str) -> None:
    assert read_judgments(write(tmp_path, text)) == Judgments(BY_TEXT, by_text=True)


def test_a_file_packed_with_gzip_is_unpacked(tmp_path: Path) -> None:
    assert read_judgments(write(tmp_path, gzip.compress(TREC.encode()))).grades == GRADES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("hello\n", ":1: no judgments in a known format: TREC qrels"),
        ("1 0 d1 2\n1 d1 2\n", ":2: has 3 columns where others have 4"),
        ("1\td1\t2\n1\td2\n", ":2: has 2 columns where others have 3"),
        ("1 0 d1 2\n1 0 d2 good\n", ":2: the grade must be a number, not 'good'"),
        ("1 0 d1 good\n", ":1: the grade must be a number, not 'good'"),
        ("1 0 d1 nan\n2 0 d2 inf\n", ":1: the grade must be a number, not 'nan'"),
        ("1\td1\t2\n\n1\td1\t1\n", ":3: document d1 is judged a second time for query 1"),
        ("query-id\tcorpus-id\tscore\n", "has no judgments"),
        ("a,d,1\nb,d\n", ":2: has 2 columns, not query,docid,rating"),
        ('a,d,1\n"b,d,1\n', ":2: is not CSV"),
        ("a,d,1\n,d,1\n", ":2: the query or the document is blank"),
        ('{"judgmentRatings": [{"query": "a", "ratings": [{"id": 1}]}]}', "{docId, rating}"),
        ('{"query-id": "1", "corpus-id": "d", "score": 1}\n{"query-id": "1"}', ":2: lacks one of"),
        ('{"a": 1}', ":1: no judgments in a known format"),
        ('{"hits": {"hits": [1]}}', ":1: no judgments in a known format"),
        ("[1, 2]", ":1: an entry of judgmentRatings is not {query, ratings"),
        ('{"query": "a",\n', ":2: is not JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"\x1f\x8b nothing", "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadFile) as refused:
        read_judgments(path)
    assert str(refused.value).startswith(str(path))
    assert message in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        read_judgments(tmp_path / "gone")


@pytest.fixture(scope="module")
def any_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples of a property; each writes its file anew."""
    return tmp_path_factory.mktemp("any")


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6)
texts = st.text(min_size=1).map(str.strip).filter(bool)
grades = st.integers(-2, 5)


@given(st.dictionaries(names, st.dictionaries(names, grades, min_size=1), min_size=1))
def test_any_trec_file_is_read_back(any_folder: Path, qrels: dict[str, dict[str, int]]) -> None:
    lines = [f"{q} 0 {d} {grade}" for q, judged in qrels.items() for d, grade in judged.items()]
    # A first line that could be JSON or CSV as well has its own formats.
    path = write(any_folder, "\n".join(["plain 0 plain 1", *lines]))
    assert read_judgments(path).grades == {"plain": {"plain": 1}, **qrels} | (
        {"plain": {"plain": 1, **qrels["plain"]}} if "plain" in qrels else {}
    )


@given(st.dictionaries(texts, st.dictionaries(texts, grades, min_size=1), min_size=1))
def test_any_judgment_list_is_read_back(any_folder: Path, qrels: dict[str, dict[str, int]]) -> None:
    rated = [
        {"query": query, "ratings": [{"docId": d, "rating": str(g)} for d, g in judged.items()]}
        for query, judged in qrels.items()
    ]
    path = write(any_folder, json.dumps({"judgmentRatings": rated}))
    assert read_judgments(path) == Judgments(qrels, by_text=True)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(any_folder: Path, content: bytes) -> None:
    path = write(any_folder, content)
    try:
        read = read_judgments(path)
    except BadFile:
        return
    assert all(read.grades.values())
