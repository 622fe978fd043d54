import json
from pathlib import Path

import pytest

from sidecar.evaluation.files import BadFile
from sidecar.evaluation.judgments import Judgments
from sidecar.evaluation.queries import join, read_queries

QUERIES = {"301": "international organized crime", "302": "poliomyelitis, post polio"}
TOPICS = """
<top>
<num> Number: 301
<title> International
   Organized Crime

<desc> Description:
Identify organizations.
</top>

<top>
<num>302</num>
<title>Poliomyelitis</title>
</top>
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "queries"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "".join(
            json.dumps({"_id": i, "text": t, "metadata": {}}) + "\n" for i, t in QUERIES.items()
        ),
        json.dumps([{"id": int(i), "query": t} for i, t in QUERIES.items()], indent=1),
        "".join(f"{i}\t{t}\r\n" for i, t in QUERIES.items()),
        "query-id\ttext\n" + "".join(f"{i}\t{t}\n" for i, t in QUERIES.items()),
    ],
    ids=["beir", "one array", "tabs", "tabs with header"],
)
def test_queries_with_ids(tmp_path: Path, text: str) -> None:
    assert read_queries(write(tmp_path, text)) == QUERIES


def test_trec_topics(tmp_path: Path) -> None:
    assert read_queries(write(tmp_path, TOPICS)) == {
        "301": "International Organized Crime",
        "302": "Poliomyelitis",
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"queryText": "tv"}\n{"queryText": "red dress", "referenceAnswer": "x"}\n',
        '{"name": "n", "querySetQueries": [{"queryText": "tv"}, {"queryText": "red dress"}]}',
    ],
    ids=["lines", "query set"],
)
def test_queries_of_the_search_relevance_workbench(tmp_path: Path, text: str) -> None:
    assert read_queries(write(tmp_path, text)) == {"tv": "tv", "red dress": "red dress"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "is empty"),
        ("[]", "has no queries"),
        ("1\ta\nb\n", ":2: no tab between id and text"),
        ("1\ta\n2\t \n", ":2: a query without text"),
        ("1\ta\n1\tb\n", ":2: query 1 occurs a second time"),
        ('{"_id": "1", "text": "a"}\n{"_id": "2"}\n', ":2: a query without text"),
        ('{"_id": "1", "text": "a"}\n7\n', ":2: a query is an object with _id and text"),
        ('{"_id": "1", "text": "a"}\n{"\n', ":2: is not JSON"),
        ("<top>\n<num> 1\n</top>\n", ":1: a topic without <num> or <title>"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadFile) as refused:
        read_queries(write(tmp_path, text))
    assert message in str(refused.value)


def test_only_judged_queries_with_a_text_are_left() -> None:
    judgments = Judgments({"1": {"d": 1}, "3": {"d": 1}}, by_text=False)
    assert join({"1": "a", "2": "b"}, judgments) == {"1": "a"}


def test_judgments_by_text_need_no_queries_and_are_narrowed_by_them() -> None:
    judgments = Judgments({"red  dress": {"d": 1}, "tv": {"d": 1}}, by_text=True)
    assert join(None, judgments) == {"red  dress": "red  dress", "tv": "tv"}
    assert join({"9": "red dress"}, judgments) == {"red  dress": "red  dress"}


def test_judgments_by_id_need_queries() -> None:
    with pytest.raises(ValueError, match="give the texts with --queries"):
        join(None, Judgments({"1": {"d": 1}}, by_text=False))


def test_files_that_do_not_belong_together_are_told() -> None:
    with pytest.raises(ValueError, match="for example 'q1' there and '1' here"):
        join({"q1": "a"}, Judgments({"1": {"d": 1}}, by_text=False))
