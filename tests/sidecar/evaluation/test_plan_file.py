from pathlib import Path

import yaml

from pipelines.fusion_methods import AdditiveFusion, RelativeFusion
from pipelines.plan import Plan, RelevanceLevels
from sidecar.evaluation.plan_file import read_base, write_plan

FILE = """\
# A comment that is not kept.
description: Für alle.
document: {title: title, body: [body, more]}
stages:
  - {model: first}
  - {model: second, take: 5}
deadline_ms: 300
query_path: ${PATH_OF_QUERY:-auto}
"""


def test_only_what_was_tuned_differs_and_says_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text(FILE)
    base = read_base(tmp_path, "base")
    before = Plan.model_validate(base)
    chosen = before.model_copy(
        update={
            "rescore_window": 100,
            "stages": before.stages[:1],
            "fusion": RelativeFusion(weight=3, lexical=0.3),
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
query_path: ${PATH_OF_QUERY:-auto}
document: {title: title, body: [body, more]}
# The base plan has first, second.
stages:
  - {model: first}
# The base plan has weight 5, lexical 0.
fusion: {weight: 3.0, lexical: 0.3}
"""
    )
    assert Plan.model_validate(yaml.safe_load(text)) == chosen.model_copy(
        update={"query_path": "${PATH_OF_QUERY:-auto}"}
    )


def test_a_plan_that_stays_as_it_is_has_no_such_notes(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(FILE)
    base = read_base(tmp_path, "base")
    before = Plan.model_validate(base)
    text = write_plan(base, before, before, True, [])
    assert "#" not in text
    assert yaml.safe_load(text) == {**base, "enabled": True}


def test_weights_guard_and_levels_are_written_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "document: {body: body}\n"
        "stages:\n  - {model: first}\n  - {model: second, take: 5, weight: 0.6}\n"
        "fusion: {method: additive, guard: {short_query_words: 3}}\n"
        "min_relevance: high\n"
        "relevance_levels: {low: 1, medium: 2, high: 3, very_high: 4}\n"
    )
    base = read_base(tmp_path, "base")
    before = Plan.model_validate(base)
    assert isinstance(before.fusion, AdditiveFusion)
    guard = before.fusion.guard.model_copy(update={"long_query_words": 30})
    first = before.stages[0].model_copy(update={"weight": 0.3})
    levels = RelevanceLevels(low=0.1, medium=0.2, high=0.3, very_high=0.4)
    chosen = before.model_copy(
        update={
            "stages": (first, before.stages[1]),
            "fusion": before.fusion.model_copy(update={"lexical": 0.5, "guard": guard}),
            "relevance_levels": levels,
        }
    )
    text = write_plan(base, before, chosen, True, [])
    assert Plan.model_validate(yaml.safe_load(text)) == chosen
    assert "# The base plan has first 0.45, second 0.6." in text
    assert "# The base plan has lexical 0.3, guard.long_query_words None." in text
    # Levels of other settings would mean nothing.
    unknown = chosen.model_copy(update={"relevance_levels": None, "min_relevance": None})
    text = write_plan(base, before, unknown, True, [])
    assert Plan.model_validate(yaml.safe_load(text)) == unknown
