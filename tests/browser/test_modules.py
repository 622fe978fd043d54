"""The page's own computing equals the product's: fusion, measures, and the YAML of a plan."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
import yaml

from pipelines.hits import Hit
from pipelines.measures import ndcg
from pipelines.passages import split_document
from pipelines.plan import Plan
from pipelines.rescore import choose_passages, rescore
from pipelines.scoring import Scorer
from sidecar.opensearch.search_response import SearchResponse
from sidecar.page.recording import RecordedSearch
from sidecar.page.requests import ShownFields
from sidecar.page.window_parts import describe_window
from tests.browser.chromium import Tab
from tests.running import Sidecar

WORDS = "red blue shoes boots winter summer walk snow park shop a1 b22".split()
CASES = 60
# A student that is always wrong by the same amount, so that its correction does not depend on what
# the model read.
ERROR = 0.25


class Drawn(Scorer):
    """A scorer with a drawn score for each text, the same in each call.

    It scores the first `most` texts of a call. If `known` is given, it scores these texts instead,
    by model, as a page does that cannot ask the models again.
    """

    def __init__(
        self, seed: int, most: int, has_student: bool, known: Mapping[str, set[str]] | None = None
    ) -> None:
        self._seed, self._most, self._has_student, self._known = seed, most, has_student, known
        self.read: dict[str, set[str]] = {}

    def _draw(self, model: str, text: str) -> float:
        return random.Random(f"{self._seed} {model} {text}").gauss(0, 1)

    async def score(self, model: str, query_text: str, texts: Sequence[str]) -> list[float | None]:
        can_read = set(texts[: self._most]) if self._known is None else self._known[model]
        self.read[model] = can_read
        return [self._draw(model, text) if text in can_read else None for text in texts]

    def spread(self, model: str) -> float:
        return {"one": 0.5, "two": 2.0, "three": 1.0}[model]

    async def estimate(
        self, model: str, query_text: str, texts: Sequence[str]
    ) -> list[float] | None:
        return [self._draw(model, text) + ERROR for text in texts] if self._has_student else None


def draw_hits(drawn: random.Random) -> tuple[Hit, ...]:
    count = drawn.randrange(1, 40)
    scores = sorted(drawn.choice((1, 1, 1, 10, 1000)) * drawn.random() for _ in range(count))
    return tuple(
        Hit(
            position,
            score,
            {
                # The name makes each text another one.
                "body": " ".join(["", f"name{position}"][:words] + drawn.choices(WORDS, k=words)),
                "family": drawn.choice(("a", "b", None)),
            },
        )
        for position, score in enumerate(reversed(scores))
        for words in (drawn.randrange(12),)
    )


class Settings(NamedTuple):
    weights: Sequence[float]
    lexical: float
    short_query_words: int

    def plan(self, plan: Mapping[str, Any], identifiers: float) -> Plan:
        """A plan with them; it is additive if it has `identifiers`."""
        if not identifiers:
            fusion: dict[str, Any] = {"method": "relative", "weight": self.weights[0]}
            fusion |= {"lexical": self.lexical, "short_query_words": self.short_query_words}
            return Plan.model_validate({**plan, "fusion": fusion})
        guard = {"short_query_words": self.short_query_words, "long_query_words": 4}
        fusion = {"method": "additive", "lexical": self.lexical, "stems": "english"}
        fusion["guard"] = {**guard, "identifiers": identifiers}
        stages = [
            {**stage, "weight": weight}
            for stage, weight in zip(plan["stages"], self.weights, strict=True)
        ]
        return Plan.model_validate({**plan, "stages": stages, "fusion": fusion})


def draw_settings(drawn: random.Random, stages: int) -> Settings:
    return Settings(
        [drawn.choice((0, 1, 5, 12.5)) for _ in range(stages)],
        drawn.choice((0, 0.3, 1)),
        drawn.choice((1, 4, 9)),
    )


async def make_window(plan: Plan, query_text: str, hits: Sequence[Hit], scorer: Drawn) -> Any:
    chosen = choose_passages(plan, query_text, hits)
    rescoring = await rescore(plan, query_text, chosen, cast(Any, scorer))
    answered = [
        SimpleNamespace(id=f"d{hit.position}", index_name="docs", score=hit.original_score)
        for hit in hits
    ]
    response = cast(SearchResponse, SimpleNamespace(hits=answered))
    recorded = RecordedSearch(query_text=query_text, hits=hits)
    recorded.note_result(response, chosen, rescoring)
    window = describe_window(recorded, plan, ShownFields(), split_document)
    return json.loads(json.dumps(window))


class Case(NamedTuple):
    """The window of a plan, the settings of another plan, and what the product makes of those."""

    window: Any
    settings: Mapping[str, Any]
    expected: Any


async def draw_case(seed: int) -> Case:
    drawn = random.Random(seed)
    hits = draw_hits(drawn)
    if not any(hit.source["body"] for hit in hits):
        hits = (Hit(0, 1.0, {"body": "red", "family": None}),)
    query_text = " ".join(drawn.sample(WORDS, k=drawn.randrange(1, 6)))
    identifiers = drawn.choice((0, 0.7))
    has_groups = drawn.random() < 0.4
    has_student = identifiers > 0 and drawn.random() < 0.5
    # What a model reads depends on its student's order; without a limit, it is everything.
    takes = (None,) if has_student else (None, 3, 8)
    stages = [
        {"model": model, "take": drawn.choice(takes) if number else None}
        for number, model in enumerate(("one", "two", "three")[: drawn.choice((1, 1, 2, 3))])
    ]
    plan: dict[str, Any] = {"document": {"body": "body"}, "stages": stages}
    if has_groups:
        plan["group_by"] = "family"
    # Other methods drop a group that the model did not read whole.
    most = drawn.choice((6, 15, 1000)) if identifiers or not has_groups else 1000
    before, after = draw_settings(drawn, len(stages)), draw_settings(drawn, len(stages))
    first = Drawn(seed, most, has_student)
    window = await make_window(before.plan(plan, identifiers), query_text, hits, first)
    cut = len(hits)
    if not (after.lexical or identifiers or has_groups):
        # The page keeps the words' evidence and the groups of the whole window.
        least = next(number for number, hit in enumerate(hits, 1) if hit.source["body"])
        cut = drawn.randrange(least, len(hits) + 1)
    again = Drawn(seed, most, has_student, first.read)
    expected = await make_window(after.plan(plan, identifiers), query_text, hits[:cut], again)
    expected["ranking"] += range(cut, len(hits))
    settings = {
        "weights": after.weights if identifiers else after.weights[:1],
        "lexical": after.lexical,
        "shortQueryWords": after.short_query_words,
        "cut": cut,
    }
    return Case(window, settings, expected)


def no_gaps(values: Sequence[float | None]) -> list[float]:
    """The values, with a number that none of them has for groups that no stage scored."""
    return [-1e9 if value is None else value for value in values]


async def test_the_page_fuses_as_the_product_does(sidecar: Sidecar, tab: Tab) -> None:
    cases = [await draw_case(seed) for seed in range(CASES)]
    await tab.go(f"http://{sidecar.api}/ui/#view=live")
    given = json.dumps([[case.window, case.settings] for case in cases])
    found = await tab.run(
        f"""import('/ui/fusion.js').then((m) => {given}.map(([window, settings]) => {{
          const own = m.fuseWindow(window, m.productSettings(window));
          const {{ranking, values}} = m.fuseWindow(window, settings);
          return [own.ranking, ranking, values];
        }}))"""
    )
    moved = 0
    for (window, _, expected), (own, ranking, values) in zip(cases, found, strict=True):
        assert own == window["ranking"]
        assert ranking == expected["ranking"]
        fused = [group["fused"] for group in expected["groups"]]
        assert no_gaps([*values, *[None] * (len(fused) - len(values))]) == pytest.approx(
            no_gaps(fused), rel=1e-9, abs=1e-12
        )
        moved += own != ranking
    assert moved > CASES / 4
    # Each kind of case is among them.
    groups = [group for case in cases for group in case.window["groups"]]
    assert any(one is not None for group in groups for one in group["estimates"])
    assert any(group["exact"] for group in groups)
    assert any(case.settings["cut"] < len(case.window["hits"]) for case in cases)
    assert any(
        stage["take"] and stage["scored"] < len(case.window["groups"])
        for case in cases
        for stage in case.window["stages"]
    )

    drawn = random.Random(0)
    grades = {f"d{number}": drawn.choice((0, 0, 1, 2, 3)) for number in range(30)}
    runs = [drawn.sample(sorted(grades), k=drawn.randrange(1, 20)) for _ in range(20)]
    gains = await tab.run(
        f"import('/ui/measures.js').then((m) => {json.dumps(runs)}"
        f".map((ids) => m.ndcg({json.dumps(grades)}, ids)))"
    )
    assert gains == pytest.approx([ndcg(grades, ids, 10) for ids in runs])

    same, disjoint = await tab.run(
        "import('/ui/measures.js').then((m) => [m.rankBiasedOverlap(['a', 'b'], ['a', 'b']),"
        " m.rankBiasedOverlap(['a', 'b'], ['c', 'd'])])"
    )
    assert (same, disjoint) == (pytest.approx(1), 0)

    for before in PLANS:
        after = await tab.run(
            f"import('/ui/plan-text.js').then((m) => m.setNumbers({json.dumps(before)},"
            " [[['fusion', 'weight'], 7.5], [['fusion', 'guard', 'short_query_words'], 3],"
            " [['stages', 1, 'weight'], 0.2], [['rescore_window'], 30]]))"
        )
        plan = yaml.safe_load(before)
        plan["fusion"] = {**plan.get("fusion", {}), "weight": 7.5}
        guard = plan["fusion"].get("guard", {})
        plan["fusion"]["guard"] = {**guard, "short_query_words": 3}
        plan["stages"][1]["weight"] = 0.2
        plan["rescore_window"] = 30
        assert yaml.safe_load(after) == plan, after
        assert after.count("# ") == before.count("# ")


PLANS = (
    """# A plan.
rescore_window: 100  # hits
stages:
  - {model: a, take: 5}
  - {model: b}
fusion: {method: relative, weight: 5, lexical: 0.3}  # chosen by tune
scores: fused
""",
    """stages:
- model: a
  # the second one
- model: b
  weight: 0.45   # spreads
fusion:
  method: additive
  # Short queries.
  guard:
    short_query_words: 6
  weight: 1
document: {body: b}
""",
    """document:
  body: [a, b]
stages: [{model: a}, {model: b, weight: 1}]
""",
)
