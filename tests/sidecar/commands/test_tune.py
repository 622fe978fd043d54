"""`sidecar tune` as a person meets it: a process before an embedded OpenSearch."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from pipelines.plan import Plan
from sidecar.demo.collection import Collection
from tests.sidecar.commands.conftest import Workplace

# Words that say nothing about the query: the fake model's order is noise then.
_NOISE = "patients mice risk cancer tissue infection growth women brain blood"


def tune(workplace: Workplace, *more: str, qrels: str = "qrels.txt") -> list[str]:
    folder = workplace.folder
    return [
        *("tune", "--index", "rescore-demo", "--queries", str(folder / "queries.jsonl")),
        *("--qrels", str(folder / qrels), "--out", str(folder / "plans" / "tuned.yaml"), *more),
    ]


def keep_queries(workplace: Workplace, count: int) -> None:
    path = workplace.folder / "queries.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:count]))


def noisy_body(folder: Path) -> str:
    must = {"multi_match": {"query": "{{query}}", "fields": ["title", "text"]}}
    body = {"query": {"bool": {"must": must, "should": {"match": {"title": _NOISE}}}}}
    (folder / "body.json").write_text(json.dumps(body))
    return str(folder / "body.json")


def test_a_plan_that_harms_is_written_but_not_enabled(workplace: Workplace) -> None:
    path = "query.bool.should.match.title"
    workplace.plan("words", query_path=path, fusion={"method": "replace"})
    body = noisy_body(workplace.folder)

    done = workplace.run(*tune(workplace, "--body", body))

    out = workplace.folder / "plans" / "tuned.yaml"
    text = out.read_text()
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{out} is not enabled: it gains nothing on unseen queries (-0.")
    assert "# Not enabled: it gains nothing" in text
    assert Plan.model_validate(yaml.safe_load(text)).enabled is False
    assert ", as computed." in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_what_was_computed_is_what_the_proxy_does(workplace: Workplace) -> None:
    workplace.plan("words", stages=[{"model": "words"}, {"model": "words", "take": 5}])

    done = workplace.run(*tune(workplace, "--json", "--folds", "2"))

    whole = json.loads(done.stdout)
    plan = Plan.model_validate(
        yaml.safe_load((workplace.folder / "plans" / "tuned.yaml").read_text())
    )
    assert whole["proxy"]["ndcg@10"] == pytest.approx(whole["proxy"]["computed"])
    assert whole["proxy"]["outcomes"] == {"applied": 40}
    assert done.returncode == (0 if whole["enabled"] else 1)
    assert plan.enabled is whole["enabled"] is (whole["unseen"]["low"] > 0)
    assert plan.rescore_window == whole["chosen"]["rescore_window"]
    assert plan.fusion.model_dump() == whole["chosen"]["fusion"]
    assert [stage.model for stage in plan.stages] == whole["chosen"]["stages"]
    # Window, stages and the three settings of the fusion in every combination.
    assert len(whole["variants"]) == 4 * 2 * 8 * 2 * 2
    assert [fold["queries"] for fold in whole["folds"]] == [20, 20]
    assert whole["unseen"]["low"] <= whole["unseen"]["ndcg@10_gain"] <= whole["unseen"]["high"]


@pytest.mark.model
def test_with_real_weights_the_gain_is_found(workplace: Workplace) -> None:
    short = {"words": 60, "per_group": 1}
    workplace.plan("words", stages=[{"model": "minilm"}], fusion={"weight": 1}, passages=short)

    done = workplace.run(*tune(workplace, "--json", "--folds", "2"))

    whole = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert whole["enabled"]
    assert whole["unseen"]["low"] > 0
    assert whole["proxy"]["ndcg@10"] == pytest.approx(whole["proxy"]["computed"], abs=1e-6)
    # What was written is a plan like any other.
    again = workplace.run("check")
    assert (again.returncode, again.stderr) == (0, "")


def test_few_queries_are_warned_of(workplace: Workplace) -> None:
    keep_queries(workplace, 8)
    few = workplace.run(*tune(workplace, "--folds", "4"))
    assert "32 judged queries have no text" in few.stderr
    assert "Only 8 judged queries: too few for a reliable result" in few.stderr
    fewer = workplace.run(*tune(workplace, "--force"))
    assert fewer.returncode == 2
    assert "8 judged queries are too few for 5 folds" in fewer.stderr


def test_a_file_that_is_there_is_not_overwritten(workplace: Workplace) -> None:
    out = workplace.folder / "plans" / "tuned.yaml"
    workplace.plan("tuned", description="mine")
    before = out.read_text()
    done = workplace.run(*tune(workplace))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"--out {out}: the file exists; --force overwrites it"]
    assert out.read_text() == before


def test_a_folder_that_is_not_there_is_told_before_any_work(workplace: Workplace) -> None:
    gone = workplace.folder / "gone" / "tuned.yaml"
    done = workplace.run(*tune(workplace, "--out", str(gone)))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"--out {gone}: there is no folder {gone.parent}"]


def test_clicks_stand_in_for_judgments(workplace: Workplace, collection: Collection) -> None:
    """Users click what is relevant, whatever its rank; the order that they see changes."""
    rows = []
    for query, grades in collection.qrels.items():
        relevant = [document for document, grade in grades.items() if grade > 0]
        shown = [*relevant, "other1", "other2"]
        for turn in range(6):
            order = shown[turn % len(shown) :] + shown[: turn % len(shown)]
            rows.append([collection.queries[query], "|".join(order), "|".join(relevant)])
    with (workplace.folder / "clicks.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["query", "shown", "clicked"], *rows])
    out = workplace.folder / "plans" / "tuned.yaml"
    additive = {"method": "additive"}
    workplace.plan("words", fusion=additive)
    given = ("--index", "rescore-demo", "--clicks", str(workplace.folder / "clicks.csv"))

    done = workplace.run("tune", *given, "--out", str(out), "--folds", "2", "--json")

    whole = json.loads(done.stdout)
    assert done.returncode == (0 if whole["enabled"] else 1)
    assert whole["judged_queries"] == len(collection.queries)
    assert whole["proxy"]["ndcg@10"] == pytest.approx(whole["proxy"]["computed"])
    [note] = whole["notes"]
    assert "a rank's share of looks is 1/rank^0.0" in note
    text = out.read_text()
    plan = Plan.model_validate(yaml.safe_load(text))
    assert [stage.added for stage in plan.stages] == whole["chosen"]["weights"]
    assert "Judgments are from" in text
    # Not the whole grid of window, weight, lexical share and guard.
    assert 20 < len(whole["variants"]) < 200


def test_levels_of_relevance_come_from_judgments(workplace: Workplace) -> None:
    workplace.plan("words", fusion={"method": "replace"})
    done = workplace.run(*tune(workplace, "--json", "--folds", "2"))
    whole = json.loads(done.stdout)
    plan = yaml.safe_load((workplace.folder / "plans" / "tuned.yaml").read_text())
    assert plan["relevance_levels"] == whole["relevance_levels"]
    assert Plan.model_validate({**plan, "min_relevance": "low"}).least_relevance is not None
    [note] = whole["notes"]
    assert note.startswith("Relevance levels are from ")


@pytest.mark.parametrize(
    "more", [(), ("--qrels", "a", "--ubi"), ("--clicks", "a", "--queries", "b")]
)
def test_judgments_come_from_one_place(workplace: Workplace, more: tuple[str, ...]) -> None:
    done = workplace.run("tune", "--index", "i", "--out", "x.yaml", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
