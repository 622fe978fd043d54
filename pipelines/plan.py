"""A plan: one named way of rescoring, everything that a file in `config/plans/` may contain.

Each field has its default, its range and a description here. `docs/reference.md` is generated
from them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipelines.fusion_methods import AdditiveFusion, Fusion, RelativeFusion
from pipelines.passage_methods import Passages
from pipelines.sentence_passages import SentencePassages
from pipelines.strict import FieldName, FieldNames, Strict, one_or_many

# 0.45 spreads of all-MiniLM-L6-v2 are what `weight: 5` of relative fusion gives it.
_STAGE_WEIGHT = 0.45

Aggregate = Literal["max", "mean", "first", "mean_of_best"]
Relevance = Literal["low", "medium", "high", "very_high"]
"""Levels of relevance, as Amazon Kendra names its confidence."""

Scores = Literal["fused", "model", "positional"]
"""What `_score` is in a rescored answer."""


class DocumentField(Strict):
    field: FieldName
    """Name of the field; dotted paths reach into objects."""

    label: str | None = Field(default=None, min_length=1)
    """Written before the value, as in `Director: ...`, so that the model knows what it reads."""

    weight: float | None = Field(default=None, gt=0, le=100, allow_inf_nan=False)
    """The model reads the field separately, in passages of its own; their scores are multiplied by
    this (negative scores are divided). The title still stands before passages of the body. If
    omitted, the field is read together with the others."""


def _fields(value: object) -> object:
    many = one_or_many(value)
    if isinstance(many, dict):
        many = (many,)
    if not isinstance(many, list | tuple):
        return many
    return tuple({"field": item} if isinstance(item, str) else item for item in many)


_FieldEntry = FieldName | DocumentField
Fields = Annotated[
    tuple[DocumentField, ...],
    BeforeValidator(_fields, json_schema_input_type=_FieldEntry | tuple[_FieldEntry, ...] | None),
]


class DocumentFields(Strict):
    title: Fields = ()
    """Field or fields of `_source` that make the title: a name, a list of names, or entries with
    `field`, `label` and `weight`."""

    body: Fields = ()
    """Field or fields of `_source` that make the body, joined in this order."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every field's name, the title's first."""
        return tuple(entry.field for entry in (*self.title, *self.body))

    @model_validator(mode="after")
    def _has_a_field(self) -> Self:
        if not self.title and not self.body:
            raise ValueError("name at least one field under title or body")
        return self


class Stage(Strict):
    model: str = Field(min_length=1)
    """Name of a model in the main file."""

    take: int | None = Field(default=None, ge=1)
    """Maximum number of groups that this stage scores, the best so far; all if omitted."""

    aggregate: Aggregate = "max"
    """How the scores of a group's passages become one score of the group: `max`, `mean`, `first`
    (in reading order) or `mean_of_best` (the mean of the `best` highest)."""

    best: int | None = Field(default=None, ge=1)
    """Number of passages that `mean_of_best` averages, 3 if omitted; only for that `aggregate`."""

    weight: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    """How much this stage adds, for a score that is one spread of its model higher; 0.45 if
    omitted. Only for `fusion: {method: additive}`."""

    @property
    def averaged(self) -> int:
        """How many of a group's best scores `mean_of_best` averages."""
        return 3 if self.best is None else self.best

    @property
    def added(self) -> float:
        """How much the stage adds for each spread, under additive fusion."""
        return _STAGE_WEIGHT if self.weight is None else self.weight

    @model_validator(mode="after")
    def _best_has_a_use(self) -> Self:
        if self.best is not None and self.aggregate != "mean_of_best":
            raise ValueError(
                f"best is for aggregate: mean_of_best; {self.aggregate} does not use it"
            )
        return self


class PassageHighlight(Strict):
    """How a hit shows the passage that the model found best."""

    field: FieldName | None = None
    """The passage is shown as `highlight.FIELD`. If omitted, FIELD is the field that has it."""

    pre_tags: FieldNames = Field(default=(), max_length=1)
    """Text before each marked word; `<em>`, or what the search's own `highlight` says, if
    omitted."""

    post_tags: FieldNames = Field(default=(), max_length=1)
    """Text behind each marked word; `</em>`, or what the search's own `highlight` says, if
    omitted."""

    when: Literal["always", "missing"] = "always"
    """`always` replaces a highlight of this field that OpenSearch made; `missing` does not."""

    encoder: Literal["default", "html"] | None = None
    """`html` escapes the passage's own text. If omitted, the search's own `highlight` decides."""


class ShadowLimits(Strict):
    """How many searches of a plan with `mode: shadow` are rescored after the answer."""

    share: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    """Share of the searches that are rescored in the shadow, chosen at random."""

    rate: float = Field(default=10.0, gt=0, le=10_000, allow_inf_nan=False)
    """Maximum number of shadows per second. Each one costs OpenSearch one more search."""

    concurrency: int = Field(default=2, ge=1, le=1000)
    """Maximum number of shadows at once; beyond it, they are dropped."""


class StepBackGuard(Strict):
    """When a plan steps back: its searches then get OpenSearch's order for a while.

    A plan steps back if at least 20 searches were counted in `window_s` and one of the two limits
    is exceeded. After `window_s`, up to 5 searches a second are rescored again, until 5 of them
    were counted; they decide.
    """

    failed_share: float | None = Field(default=None, ge=0, lt=1, allow_inf_nan=False)
    """Maximum share of rescorings that fail."""

    added_p95_ms: float | None = Field(default=None, gt=0, le=600_000, allow_inf_nan=False)
    """Maximum 95th percentile of the milliseconds that rescoring adds to a search."""

    window_s: int = Field(default=30, ge=1, le=3600)
    """Seconds over which searches are counted, and for which the plan steps back."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.failed_share is None and self.added_p95_ms is None:
            raise ValueError("give failed_share, added_p95_ms or both")
        return self


class RelevanceLevels(Strict):
    """The least relevance of each level, on the scale of this plan's models."""

    low: float = Field(allow_inf_nan=False)
    """A hit of this relevance is relevant with a probability of 0.2."""

    medium: float = Field(allow_inf_nan=False)
    """The same with a probability of 0.4."""

    high: float = Field(allow_inf_nan=False)
    """The same with a probability of 0.6."""

    very_high: float = Field(allow_inf_nan=False)
    """The same with a probability of 0.8."""

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if not self.low <= self.medium <= self.high <= self.very_high:
            raise ValueError("the levels must not fall from low to very_high")
        return self


class Plan(Strict):
    description: str = ""
    """What this plan is for, in one sentence; `sidecar check` and `serve` show it."""

    enabled: bool = True
    """`false`: searches of its routes are forwarded unchanged, with reason `disabled`."""

    mode: Literal["live", "shadow"] = "live"
    """`live` changes the order. `shadow`: the client gets OpenSearch's own answer, and the search
    is rescored afterwards, with one more search, only to measure the difference."""

    shadow: ShadowLimits | None = None
    """Limits for `mode: shadow`; their defaults if omitted."""

    guard: StepBackGuard | None = None
    """If given, searches get OpenSearch's order while rescoring fails too often or takes too
    long."""

    templates: bool = False
    """`true`: searches by template are rescored too. Each costs one more exchange with
    OpenSearch, which renders the template (`_render/template`)."""

    rescore_window: int = Field(default=50, ge=1, le=10_000)
    """Number of hits that are fetched and rescored, whichever page the client requests."""

    deadline_ms: int = Field(default=200, ge=1, le=60_000)
    """Milliseconds after OpenSearch's answer; hits that are not scored by then keep their place."""

    hybrid: Literal["off", "widen"] = "off"
    """`widen`: a `hybrid` query whose `pagination_depth` does not cover the window gets one that
    does. That changes its candidates and its normalised scores. `off`: it is forwarded unchanged.
    """

    query_path: str = Field(default="auto", min_length=1)
    """`auto`, or the dotted path of the query text in the body, such as
    `query.match.title.query`."""

    document: DocumentFields
    """The fields that the model reads."""

    group_by: FieldName | None = None
    """A field of `_source`; hits with the same value in it are scored as one document."""

    passages: Passages = SentencePassages()
    """How a document's text is cut into passages for the model."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    """The models, in the order in which they read; a later stage scores the best groups of the
    stage before it again."""

    student: Literal["auto", "off"] = "auto"
    """`auto`: a bi-encoder gets a student, which it teaches in the background, and what the model
    does not read before the deadline has the score that the student expects. Only for `fusion:
    {method: additive}`. `off`: it has the mean of the scores that were read."""

    fusion: Fusion = RelativeFusion()
    """How the model's scores and the original scores become one order. Hits that huge boosts have
    put on top stay there."""

    scores: Scores = "fused"
    """What `_score` is afterwards: fused scores on the original scale, the model's own scores, or
    the original scores by position."""

    highlight: PassageHighlight | None = None
    """If given, each hit shows its best passage, with the words of the query text marked."""

    @property
    def stem_language(self) -> str | None:
        """The language by whose stems words are compared; None: as they are written."""
        if not isinstance(self.fusion, AdditiveFusion) or self.fusion.stems == "none":
            return None
        return self.fusion.stems

    @model_validator(mode="after")
    def _weights_have_a_use(self) -> Self:
        weighted = [stage.model for stage in self.stages if stage.weight is not None]
        if weighted and not isinstance(self.fusion, AdditiveFusion):
            raise ValueError(
                f"a stage's weight is for fusion: {{method: additive}}; {self.fusion.method} does "
                f"not use it (stages of {', '.join(weighted)})"
            )
        return self

    min_relevance: Relevance | None = None
    """Hits of a page that are less relevant are left out of it. All stay if omitted. It needs
    `relevance_levels`."""

    relevance_levels: RelevanceLevels | None = None
    """What the levels of `min_relevance` mean for this plan's models. `sidecar tune` learns them
    from judgments and writes them."""

    @property
    def least_relevance(self) -> float | None:
        """The relevance below which hits are left out; None if all stay."""
        if self.min_relevance is None or self.relevance_levels is None:
            return None
        least: float = getattr(self.relevance_levels, self.min_relevance)
        return least

    @model_validator(mode="after")
    def _levels_are_known(self) -> Self:
        if self.min_relevance is not None and self.relevance_levels is None:
            raise ValueError(
                "min_relevance needs relevance_levels; run `sidecar tune`, which learns them from"
                " judgments"
            )
        return self
