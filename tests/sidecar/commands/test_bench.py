"""`sidecar bench` as a person meets it: a process of its own, with the fake models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PAIRS = {"kind": "cross-encoder", "source": "words", "backend": "fake"}
VECTORS = {"kind": "bi-encoder", "source": "words", "backend": "fake"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    main = {
        # Nothing listens there: a measurement needs no cluster.
        "upstream": {"urls": ["http://127.0.0.1:9"]},
        "models": {"pairs": PAIRS, "vectors": VECTORS},
        "passage_store": {"folder": "kept"},
    }
    (tmp_path / "sidecar.yaml").write_text(yaml.safe_dump(main))
    write_plan(tmp_path, "all", stages=[{"model": "vectors"}, {"model": "pairs", "take": 5}])
    return tmp_path


def write_plan(folder: Path, name: str, **keys: Any) -> None:
    whole = {
        "rescore_window": 20,
        "deadline_ms": 20_000,
        "document": {"title": "name", "body": ["about", "more"]},
        **keys,
    }
    (folder / "plans" / f"{name}.yaml").write_text(yaml.safe_dump(whole))


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar", "bench", "--config", str(folder / "sidecar.yaml")]
        + ["--seconds", "0.3", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_every_search_is_rescored_and_counted(folder: Path) -> None:
    done = bench(folder, "--clients", "3", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    whole = json.loads(done.stdout)
    (plan,) = whole["plans"]
    assert int(whole["machine"]["cores"]) >= 1
    assert (plan["plan"], plan["window"]) == ("all", 20)
    kinds = [one["kind"] for one in plan["searches"]]
    assert kinds == ["cold, 1 at a time", "warm, 1 at a time", "warm, 3 at once"]
    for one in plan["searches"]:
        assert one["statuses"] == {"applied": one["searches"]}
        assert one["scored"] == 1
        assert 0 < one["p50"] <= one["p95"] <= one["p99"]
        assert one["per_second"] > 0
    # 20 documents a window, each with a passage at least; 4 windows that are warm, then cold ones.
    cold = plan["searches"][0]["searches"]
    assert plan["stored"] >= 20 * (4 + cold)
    # The fake model's passages are read once each, a query text is new every time.
    searches = sum(one["searches"] for one in plan["searches"]) + 4
    vectors, pairs = plan["models"]
    assert vectors["texts"] == plan["stored"] + searches
    assert pairs["texts"] >= 5 * searches
    assert plan["memory_at_start"] > 10


def test_a_table_and_what_it_holds(folder: Path) -> None:
    write_plan(folder, "path", stages=[{"model": "vectors"}], query_path="query.match.name")
    done = bench(folder, "--plan", "path")
    assert (done.returncode, done.stderr) == (0, "")
    assert "plan path: 20 hits" in done.stdout
    assert "plan all" not in done.stdout
    assert "warm, 8 at once" in done.stdout
    assert "100%" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_nothing_is_left_on_the_disk(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    assert bench(folder).returncode == 0
    assert sorted(folder.rglob("*")) == before


def test_an_unknown_plan_is_wrong_usage(folder: Path) -> None:
    done = bench(folder, "--plan", "alll")
    assert done.returncode == 2
    assert done.stderr == "--plan alll: there is no such plan (there are: all)\n"


def test_a_model_that_cannot_be_loaded_is_told_in_one_line(folder: Path) -> None:
    main = yaml.safe_load((folder / "sidecar.yaml").read_text())
    main["models"]["vectors"] = {"kind": "bi-encoder", "source": "./empty"}
    (folder / "empty").mkdir()
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(main))
    done = bench(folder)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "vectors" in done.stderr
