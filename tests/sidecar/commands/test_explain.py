"""`sidecar explain` as a person meets it: a process before an embedded OpenSearch."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from sidecar.models.backends.fake import FakeCrossEncoder
from tests.raw_http import RawResponse
from tests.running import request, running_sidecar
from tests.sidecar.commands.conftest import Workplace

QUERY = "vitamin deficiency increases blood levels"
BODY = {"query": {"multi_match": {"query": QUERY, "fields": ["title", "text"]}}, "size": 20}


def search(address: tuple[str, int]) -> list[dict[str, Any]]:
    answer: RawResponse = request(address, "POST", "/rescore-demo/_search", BODY)
    hits: list[dict[str, Any]] = json.loads(answer.body)["hits"]["hits"]
    return hits


def explain(workplace: Workplace, *more: str) -> dict[str, Any]:
    done = workplace.run("explain", "--index", "rescore-demo", "--query", QUERY, "--json", *more)
    assert (done.returncode, done.stderr) == (0, "")
    whole: dict[str, Any] = json.loads(done.stdout)
    return whole


def test_it_tells_what_a_search_does(workplace: Workplace, cluster: str, tmp_path: Path) -> None:
    explained = explain(workplace)
    host, _, port = cluster.removeprefix("http://").partition(":")
    direct = search((host, int(port)))
    plan = {
        "rescore_window": 20,
        "deadline_ms": 20_000,
        "document": {"title": "title", "body": "text"},
    }
    with running_sidecar(tmp_path / "running", cluster, {"p": plan}, {"rescore-demo": "p"}) as own:
        rescored = search(own.proxy)

    hits = explained["hits"]
    assert [hit["id"] for hit in hits] == [hit["_id"] for hit in rescored]
    assert [hit["rank"] for hit in hits] == list(range(1, 21))
    assert [hit["score"] for hit in hits] == pytest.approx([hit["_score"] for hit in rescored])
    before = sorted(hits, key=lambda hit: hit["original_rank"])
    assert [hit["id"] for hit in before] == [hit["_id"] for hit in direct]
    assert [hit["original_score"] for hit in before] == pytest.approx(
        [hit["_score"] for hit in direct]
    )
    scores = [hit["original_score"] for hit in hits]
    unit = 5 * fmean(abs(one - other) for one, other in combinations(scores, 2))
    for hit in hits:
        # The passage that is shown is the one that the score is of.
        (score,) = FakeCrossEncoder().score_pairs(QUERY, [hit["passage"]])
        assert hit["model_scores"] == [{"model": "words", "score": pytest.approx(float(score))}]
        assert hit["fused"] == pytest.approx(
            (hit["original_score"] - min(scores)) / unit + 5 * score
        )
        assert hit["group"] is None
    assert explained["stages"] == [{"model": "words", "groups": 20, "scored": 20, "reason": None}]
    assert explained["status"] == "applied"


def test_the_lines_fit_a_terminal(workplace: Workplace) -> None:
    workplace.plan("words", stages=[{"model": "words"}, {"model": "words", "take": 3}])
    done = workplace.run("explain", "--index", "rescore-demo", "--query", QUERY, "--size", "5")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["now", "was", "hit", "original", "words", "words", "fused"]
    assert len(lines) == 10
    assert max(map(len, [heading, *lines])) <= 80
    # The second stage reads three groups; the others show that it did not.
    assert [line.split()[-2] == "-" for line in lines[::2]] == [False] * 3 + [True] * 2


def test_hits_of_a_group_have_its_score_and_its_passage(workplace: Workplace) -> None:
    workplace.plan("grouped", group_by="title")
    hits = explain(workplace, "--plan", "grouped")["hits"]
    assert all(hit["group"] == hit["title"] for hit in hits)


def test_a_search_that_is_left_alone_is_a_negative_answer_with_its_reason(
    workplace: Workplace,
) -> None:
    body = {"query": {"match": {"text": "{{query}}"}}, "sort": ["_doc"]}
    (workplace.folder / "body.json").write_text(json.dumps(body))
    done = workplace.run(
        *("explain", "--index", "rescore-demo", "--query", QUERY),
        *("--body", str(workplace.folder / "body.json")),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "the search was not rescored: skipped reason=sort; docs/reference.md explains the reason"
    ]


def test_an_index_that_is_not_there_is_exit_2(workplace: Workplace) -> None:
    done = workplace.run("explain", "--index", "gone", "--query", "x", "--plan", "words")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "status 404" in line
