from pathlib import Path

import yaml

from pipelines.plan import Fusion, Plan
from sidecar.evaluation.plan_file import read_base, write_plan

FILE = """\
# A comment that is not kept.
description: Für alle.
document: {title: title, body: [body, more]}
stages:
  - {model: first}
  - {model: second, take: 5}
deadline_ms: 300
query_text: ${PATH_OF_QUERY:-auto}
"""


def test_only_what_was_tuned_differs_and_says_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text(FILE)
    base = read_base(tmp_path, "base")
    before = Plan.model_validate(base)
    chosen = before.model_copy(
        update={
            "rescore_window": 100,
            "stages": before.stages[:1],
            "fusion": Fusion(weight=3, lexical=0.3),
            "enabled": False,
        }
    )

    text = write_plan(base, before, chosen, False, ["Fitted to something. " * 6])

    assert (
        text
        == """\
# Fitted to something. Fitted to something. Fitted to something. Fitted to
# something. Fitted to something. Fitted to something.
description: Für alle.
enabled: false
# The base plan has 50.
rescore_window: 100
deadline_ms: 300
query_text: ${PATH_OF_QUERY:-auto}
document: {title: title, body: [body, more]}
# The base plan has first, second.
stages:
  - {model: first}
# The base plan has weight 5, lexical 0.
fusion: {weight: 3.0, lexical: 0.3}
"""
    )
    assert Plan.model_validate(yaml.safe_load(text)) == chosen.model_copy(
        update={"query_text": "${PATH_OF_QUERY:-auto}"}
    )


def test_a_plan_that_stays_as_it_is_has_no_such_notes(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(FILE)
    base = read_base(tmp_path, "base")
    before = Plan.model_validate(base)
    text = write_plan(base, before, before, True, [])
    assert "#" not in text
    assert yaml.safe_load(text) == {**base, "enabled": True}
