"""`sidecar evaluate` as a person meets it: a process before an embedded OpenSearch."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sidecar.demo.collection import Collection
from tests.running import running_sidecar
from tests.sidecar.commands.conftest import Workplace

_NOISE = "patients mice risk cancer tissue infection growth women brain blood"


def arguments(workplace: Workplace, qrels: str = "qrels.txt") -> list[str]:
    queries = workplace.folder / "queries.jsonl"
    qrels = str(workplace.folder / qrels)
    return ["evaluate", "--index", "rescore-demo", "--queries", str(queries), "--qrels", qrels]


def test_a_plan_that_keeps_the_order_changes_nothing(
    workplace: Workplace, collection: Collection
) -> None:
    workplace.plan("words", fusion={"method": "relative", "weight": 0})
    done = workplace.run(*arguments(workplace), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    whole = json.loads(done.stdout)
    assert whole["direct"]["ndcg@10"] == whole["rescored"]["ndcg@10"] > 0.3
    assert whole["interval"] == {"low": 0.0, "high": 0.0, "resamples": 10_000}
    assert whole["outcomes"] == {"applied": 40}
    assert [query["query"] for query in whole["queries"]] == list(collection.qrels)
    assert whole["index"], whole["plan"] == ("rescore-demo", "words")


def test_a_plan_that_turns_the_order_around_is_a_negative_answer(workplace: Workplace) -> None:
    # The fake model counts words of the query text, which the plan takes from the wrong place.
    must = {"multi_match": {"query": "{{query}}", "fields": ["title", "text"]}}
    body = {"query": {"bool": {"must": must, "should": {"match": {"title": _NOISE}}}}}
    (workplace.folder / "body.json").write_text(json.dumps(body))
    path = "query.bool.should.match.title"
    workplace.plan("words", query_path=path, fusion={"method": "replace"})
    done = workplace.run(*arguments(workplace), "--body", str(workplace.folder / "body.json"))
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["rescoring makes this index's order worse"]
    assert "Most harmed" in done.stdout


def test_the_table_fits_a_terminal_and_names_the_most_harmed(workplace: Workplace) -> None:
    done = workplace.run(*arguments(workplace))
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "40 judged queries" in done.stdout
    assert "95 % interval" in done.stdout
    assert "Not every search" not in done.stdout


def test_a_judgment_list_of_the_workbench_needs_no_queries(
    workplace: Workplace, collection: Collection
) -> None:
    with (workplace.folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "docid", "rating"])
        for query, grades in collection.qrels.items():
            for document, grade in grades.items():
                writer.writerow([collection.queries[query], document, f"{grade:.3f}"])
    by_text = workplace.run(
        "evaluate", "--index", "rescore-demo", "--qrels", f"{workplace.folder}/list.csv", "--json"
    )
    by_id = workplace.run(*arguments(workplace), "--json")
    assert by_text.returncode == by_id.returncode
    first, second = json.loads(by_text.stdout), json.loads(by_id.stdout)
    assert first["rescored"]["ndcg@10"] == second["rescored"]["ndcg@10"]
    assert [q["gain"] for q in first["queries"]] == [q["gain"] for q in second["queries"]]


def test_a_running_sidecar_is_measured_as_it_runs(
    workplace: Workplace, cluster: str, tmp_path: Path
) -> None:
    plans = {"other": {"document": {"body": "text"}, "deadline_ms": 20_000}}
    with running_sidecar(tmp_path / "running", cluster, plans, {"rescore-demo": "other"}) as own:
        done = workplace.run(
            *arguments(workplace), "--json", "--proxy", f"http://{own.proxy}", "--k", "3"
        )
        measured = own.metric("rescore_searches_total", plan="other", status="applied", reason="")
    assert json.loads(done.stdout)["rescored"]["recall@3"] > 0
    assert measured == 80  # once to get warm, once measured


def test_a_plan_that_is_not_enabled_is_measured_all_the_same(workplace: Workplace) -> None:
    workplace.plan("draft", enabled=False)
    done = workplace.run(*arguments(workplace), "--json", "--plan", "draft")
    assert done.stderr.splitlines() == ["Plan draft is not enabled; it is measured as if it were."]
    assert json.loads(done.stdout)["outcomes"] == {"applied": 40}


def test_searches_that_cannot_be_rescored_are_told(workplace: Workplace) -> None:
    body = {"query": {"match": {"text": "{{query}}"}}, "sort": ["_doc"]}
    (workplace.folder / "body.json").write_text(json.dumps(body))
    done = workplace.run(*arguments(workplace), "--body", str(workplace.folder / "body.json"))
    assert done.returncode == 1
    assert "Not every search was rescored in full: skipped reason=sort: 40." in done.stdout
    assert done.stderr.startswith("no search was rescored")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--plan", "gone"], "--plan gone: there is no such plan (there are: words)"),
        (["--index", "other"], "--index other: no route leads to a plan; name one with --plan"),
        (["--qrels", "gone.txt"], "gone.txt: cannot be read: No such file or directory"),
        (["--index", "other", "--plan", "words"], "status 404"),
        (["--proxy", "http://127.0.0.1:9"], "http://127.0.0.1:9/rescore-demo/_search: Cannot"),
        (["--k", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    workplace: Workplace, more: list[str], message: str
) -> None:
    done = workplace.run(*arguments(workplace), *more)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_clicks_and_judgments_do_not_mix(workplace: Workplace) -> None:
    both = workplace.run("evaluate", "--ubi", "--index", "rescore-demo")
    assert both.stderr == "--ubi needs no --index, --queries or --qrels; leave them out\n"
    neither = workplace.run("evaluate", "--index", "rescore-demo")
    assert neither.stderr == "--index and --qrels are needed, or --ubi\n"
