"""A plan: one named way of rescoring, everything that a file in `config/plans/` may say.

Each field carries its default, its range and one sentence; the reference in
`docs/reference.md` is generated from them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

Aggregate = Literal["max", "mean", "first", "mean_of_best"]


class Strict(BaseModel):
    """Base of everything people write: unknown keys are refused, values do not change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        # Otherwise `rescore_window: yes` would be a window of 1.
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError(f"a value is needed, not {str(value).lower()}")
        return value


def _one_or_many(value: object) -> object:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


FieldName = Annotated[str, Field(min_length=1)]
FieldNames = Annotated[tuple[FieldName, ...], BeforeValidator(_one_or_many)]


class DocumentField(Strict):
    field: FieldName
    """Name of the field; dotted paths reach into objects."""

    label: str | None = Field(default=None, min_length=1)
    """Written before the value, as in `Director: ...`, so that the model knows what it reads."""

    weight: float | None = Field(default=None, gt=0, le=100, allow_inf_nan=False)
    """The field is read apart, as passages of its own, whose model scores are multiplied by this
    (negative ones divided); a title stays before the other passages too. Left out: the field is
    read together with the others."""


def _fields(value: object) -> object:
    many = _one_or_many(value)
    if isinstance(many, dict):
        many = (many,)
    if not isinstance(many, list | tuple):
        return many
    return tuple({"field": item} if isinstance(item, str) else item for item in many)


Fields = Annotated[tuple[DocumentField, ...], BeforeValidator(_fields)]


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


class Passages(Strict):
    method: Literal["sentences", "kendra"] = "sentences"
    """`sentences`: windows of whole sentences. `kendra`: the rules of OpenSearch's Kendra
    Intelligent Ranking plugin to the letter; `tokens` and `overlap` do not apply then."""

    tokens: int = Field(default=120, ge=8, le=4000)
    """A passage is closed before it would pass this many words."""

    overlap: int = Field(default=1, ge=0, le=10)
    """Sentences at the end of a passage that the next one repeats."""

    per_document: int = Field(default=3, ge=1, le=100)
    """The best so many passages of a group, by BM25 against the query text, are scored."""


class Stage(Strict):
    model: str = Field(min_length=1)
    """Name of a model of the main file."""

    take: int | None = Field(default=None, ge=1)
    """How many of the best groups so far this stage reads; all when left out."""

    aggregate: Aggregate = "max"
    """How the scores of a group's passages become the group's one score."""

    best: int = Field(default=3, ge=1)
    """How many passages `mean_of_best` takes."""


class Fusion(Strict):
    method: Literal["relative", "weighted", "rrf", "replace"] = "relative"
    """`relative`: original / mean(original) + weight x score. `weighted`: both min-max scaled,
    weight is the model's share. `rrf`: reciprocal ranks. `replace`: the model's order alone."""

    weight: float = Field(default=5.0, ge=0, le=1000, allow_inf_nan=False)
    """How much the model counts; from 0 to 1 for `weighted`."""

    lexical: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """For `relative`: the share of the original score that gives way to lexical evidence: BM25 of
    title and best passage counted over the window, and how many of the query's words are there."""

    short_query_words: int = Field(default=1, ge=1, le=100)
    """For `relative`: a query text of fewer different words lowers the weight in proportion, as a
    model makes little of a word or two; 1 never does."""

    @model_validator(mode="after")
    def _only_relative_reads_words(self) -> Self:
        if self.method != "relative" and (self.lexical or self.short_query_words > 1):
            raise ValueError("lexical and short_query_words belong to method relative")
        return self

    @model_validator(mode="after")
    def _share_is_a_share(self) -> Self:
        if self.method == "weighted" and self.weight > 1:
            raise ValueError("weight is the model's share for method weighted: from 0 to 1")
        return self


class Plan(Strict):
    description: str = ""
    """What this plan is for, in one sentence; shown by `sidecar check` and `serve`."""

    enabled: bool = True
    """`false`: searches of its routes are forwarded as they come, with reason `disabled`."""

    mode: Literal["live"] = "live"
    """`live` changes the order."""

    templates: bool = False
    """`true`: searches by template are rescored too. Each costs one more exchange with
    OpenSearch, which renders the template (`_render/template`)."""

    rescore_window: int = Field(default=50, ge=1, le=10_000)
    """Hits that are fetched and rescored, whatever page is asked for."""

    deadline_ms: int = Field(default=200, ge=1, le=60_000)
    """Milliseconds after OpenSearch's answer; hits not scored by then keep their place."""

    query_text: str = Field(default="auto", min_length=1)
    """`auto`, or the dotted path of the query text in the body, as `query.match.title.query`."""

    document: DocumentFields
    """The fields that are read by the model."""

    group_by: FieldName | None = None
    """A field of `_source`; hits that share its value are scored as one document."""

    passages: Passages = Passages()
    """How a document's text is cut for the model."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    """The models, in the order they read; a later stage re-reads the best of the one before."""

    fusion: Fusion = Fusion()
    """How the model's scores and the original ones become one order."""

    scores: Literal["fused", "model", "positional"] = "fused"
    """What `_score` says afterwards: fused scores on the original scale, the model's own
    numbers, or the original numbers by position."""
