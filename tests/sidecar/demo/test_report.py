from io import StringIO

import pytest
from rich.console import Console

from pipelines.plan import DocumentFields, Plan, Stage
from sidecar.demo.collection import Collection, SampleDocument
from sidecar.demo.report import choose_examples, curl_lines, print_report
from sidecar.evaluation.comparison import compare
from sidecar.evaluation.searching import RankedAnswer

COLLECTION = Collection(
    documents=tuple(
        SampleDocument(name, f"{name}: a title [that] is longer than half of the table", "text")
        for name in ("a", "b", "c", "d")
    ),
    queries={"1": "first query?", "2": "second query?", "3": "third [query]?"},
    qrels={"1": {"c": 1}, "2": {"a": 1}, "3": {"b": 1}},
)
PLAN = Plan(document=DocumentFields(title=("title",)), stages=(Stage(model="m"),))


def answers(milliseconds: float, outcome: str | None, **orders: str) -> dict[str, RankedAnswer]:
    return {
        name.removeprefix("q"): RankedAnswer(tuple(order), milliseconds / 1000, outcome)
        for name, order in orders.items()
    }


DIRECT = answers(2, None, q1="abc", q2="abc", q3="abc")
RESCORED = answers(5, "applied; plan=demo", q1="cab", q2="bac", q3="abc")


def report(rescored: dict[str, RankedAnswer], *, terminal: bool = False) -> str:
    out = StringIO()
    console = Console(file=out, width=200, force_terminal=terminal, color_system=None)
    comparison = compare(COLLECTION.qrels, DIRECT, rescored)
    print_report(console, COLLECTION, DIRECT, rescored, comparison, PLAN)
    return out.getvalue()


def test_examples_are_the_two_greatest_gains_and_the_greatest_loss() -> None:
    gains = {"same": 0.0, "better": 0.3, "best": 0.5, "good": 0.1, "bad": -0.1, "worst": -0.5}

    assert choose_examples(gains) == [
        ("Helped most", "best"),
        ("Helped most", "better"),
        ("Harmed most", "worst"),
    ]


def test_there_are_no_examples_of_what_did_not_happen() -> None:
    assert choose_examples({"1": 0.0, "2": 0.0}) == []
    assert choose_examples({"1": 0.2, "2": 0.0}) == [("Helped most", "1")]
    assert choose_examples({"1": -0.2, "2": 0.0}) == [("Harmed most", "1")]


def test_the_measures_of_both_sides_stand_in_the_table() -> None:
    lines = report(RESCORED).splitlines()

    def cells(name: str) -> list[str]:
        line = next(line for line in lines if line.startswith(f"| {name} "))
        return [cell.strip() for cell in line.strip("|").split("|")]

    # Ranks of the relevant document: 3, 1, 2 alone; 1, 2, 2 rescored.
    assert cells("3 judged queries") == [
        "3 judged queries",
        "nDCG@10",
        "MRR@10",
        "warm search, median",
    ]
    assert cells("OpenSearch alone  ") == ["OpenSearch alone", "0.7103", "0.6111", "2.0 ms"]
    assert cells("rescored") == ["rescored", "0.7540", "0.6667", "5.0 ms"]
    assert cells("difference") == ["difference", "+0.0436", "+0.0556", "+3.0 ms"]
    assert "Queries helped 33%, harmed 33%, the same 33% (by nDCG@10)." in lines
    assert "Plan: window 50, fusion relative, weight 5, deadline 200 ms." in lines
    assert "Not every search was rescored" not in "\n".join(lines)


def test_examples_show_both_orders_with_the_judged_documents_marked() -> None:
    text = report(RESCORED)

    assert "Helped most: first query?" in text
    assert "Harmed most: second query?" in text
    assert "third [query]?" not in text
    first_row = next(line for line in text.splitlines() if line.startswith("| 1 |"))
    before, after = first_row.split("|")[2:4]
    assert before.startswith("   a: a title [that]")
    assert after.startswith(" * c: a title [that]")


@pytest.mark.parametrize("terminal", [False, True])
def test_no_line_is_wider_than_eighty_columns(terminal: bool) -> None:
    assert max(map(len, report(RESCORED, terminal=terminal).splitlines())) == 80


def test_a_file_gets_no_box_characters() -> None:
    drawn = set(report(RESCORED)) - set(report(RESCORED).encode("ascii", "ignore").decode())
    assert drawn == {"…"}
    assert "│" in report(RESCORED, terminal=True)


def test_searches_that_were_not_rescored_are_told() -> None:
    late = answers(5, "partial; plan=demo; reason=deadline", q3="abc")

    assert (
        "Not every search was rescored: applied: 2, partial reason=deadline: 1."
        in report({**RESCORED, **late}).splitlines()
    )


def test_curl_lines_quote_what_a_shell_would_read() -> None:
    rescored, direct = curl_lines("127.0.0.1:9201", "it's $HOME")

    assert "it'\"'\"'s $HOME" in rescored
    assert "X-Rescore: off" not in rescored
    assert "X-Rescore: off" in direct
