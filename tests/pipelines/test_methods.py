"""Passage and fusion methods: every one in the list offers what the core uses."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

import pipelines
from pipelines.fusion_methods import (
    AdditiveFusion,
    FusionMethod,
    RelativeFusion,
    ReplaceFusion,
    RrfFusion,
    ScoredGroups,
    WeightedFusion,
)
from pipelines.kendra_passages import KendraPassages
from pipelines.original_scores import read_original_scores
from pipelines.passage_methods import PassageMethod
from pipelines.plan import Plan
from pipelines.sentence_passages import SentencePassages

PASSAGE_METHODS: list[PassageMethod] = [SentencePassages(), KendraPassages()]
FUSION_METHODS: list[FusionMethod] = [
    *(RelativeFusion(), AdditiveFusion(), WeightedFusion(weight=0.5), RrfFusion(), ReplaceFusion()),
]
OWN_FILES = {"sentence_passages.py", "kendra_passages.py", "passage_methods.py"}
OWN_FILES |= {"fusion_methods.py"}


@pytest.mark.parametrize(
    ("field", "methods"), [("passages", PASSAGE_METHODS), ("fusion", FUSION_METHODS)]
)
def test_each_declaration_is_listed_under_its_own_name(
    field: str, methods: list[PassageMethod] | list[FusionMethod]
) -> None:
    listed = [get_args(tagged) for tagged in get_args(Plan.model_fields[field].annotation)]
    assert [kind for kind, _ in listed] == [type(method) for method in methods]
    assert [tag.tag for _, tag in listed] == [method.method for method in methods]


@pytest.mark.parametrize("method", PASSAGE_METHODS, ids=lambda method: method.method)
def test_a_passage_method_cuts_and_chooses(method: PassageMethod) -> None:
    text = " ".join(f"Sentence {number} has a needle or a haystack." for number in range(100))
    passages = method.cut("A title", text)
    bodies = [body for _, body in passages]
    assert len(passages) > method.per_group
    assert all(len(whole) > len(body) > 0 for whole, body in passages)
    (places,) = method.choose("needle", [bodies], [[0.0] * len(bodies)])
    assert len(places) == len(set(places)) == method.per_group
    assert method.cut("", "") == []
    assert method.method in method.cutting


def test_what_decides_the_cut_is_in_its_name() -> None:
    names = {
        SentencePassages().cutting,
        SentencePassages(words=60).cutting,
        SentencePassages(overlap=0).cutting,
        KendraPassages().cutting,
    }
    assert len(names) == 4
    assert SentencePassages(per_group=1).cutting == SentencePassages().cutting


@pytest.mark.parametrize("method", FUSION_METHODS, ids=lambda method: method.method)
def test_a_fusion_method_gives_one_value_per_group(method: FusionMethod) -> None:
    scores = [3.0, 2.0, 1.0]
    groups = ScoredGroups(scores, [0.1, 0.9, 0.5], [], read_original_scores(scores), 3)
    assert len(method.fuse(groups)) == 3
    assert set(method.candidates) <= set(dict(method))  # type: ignore[call-overload]


def test_the_core_compares_no_method_by_its_name() -> None:
    names = {method.method for method in PASSAGE_METHODS}
    names |= {method.method for method in FUSION_METHODS}
    for path in Path(pipelines.__path__[0]).glob("*.py"):
        if path.name in OWN_FILES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare | ast.MatchValue):
                constants = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                assert not constants & names, f"{path.name}:{node.lineno}"
