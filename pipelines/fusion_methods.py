"""The ways to join model scores with original scores, as a plan's `fusion.method` names them.

Each method is a class with its settings as fields and its formula in `fuse`. To add one, write
its class here and name it in `Fusion`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol

from pydantic import Field, Tag, field_validator

from pipelines.original_scores import OriginalScores
from pipelines.strict import Strict, by_method
from pipelines.words import STEM_LANGUAGES

_RRF_K = 60
# The unit of original scores is this many times the mean difference of two hits. In BM25 windows
# that is near their mean, which a constant added to all scores, or one score of a million, would
# change. On nine judged collections the order is as good as with the mean; factors from 4 to 6 are
# equally good.
_DISTANCES = 5


class ScoredGroups(NamedTuple):
    """The groups that a fusion orders, in the original order: the same place, the same group.

    `original` and `model` are their scores, `evidence` their lexical evidence, empty if there is
    none. `originals` describes the whole window. `query_words` is the number of different words
    in the query text.
    """

    original: Sequence[float]
    model: Sequence[float]
    evidence: Sequence[float]
    originals: OriginalScores
    query_words: int
    exact: Sequence[float] = ()

    def terms(self) -> list[float]:
        """(original - least) / (5 x mean difference of two), both of the whole window.

        All are 0 if the difference is.
        """
        unit = _DISTANCES * self.originals.distance
        low = self.originals.low
        return [(value - low) / unit if unit else 0.0 for value in self.original]


class FusionMethod(Protocol):
    """What the core and `tune` ask of a method; every class in `Fusion` has it."""

    candidates: ClassVar[Mapping[str, tuple[float, ...]]]
    """The values that `tune` tries for each setting."""

    separate: ClassVar[bool]
    """Whether a group's value depends on no other group's score, and never falls as its own score
    rises."""

    @property
    def method(self) -> str:
        """The name in the plan."""
        ...

    @property
    def reads_words(self) -> bool:
        """Whether `fuse` uses the lexical evidence."""
        ...

    def fuse(self, groups: ScoredGroups) -> list[float]:
        """One value per group, in the same order; higher is better."""
        ...


class RelativeFusion(Strict):
    """Original / (5 x mean difference of two hits' original scores) + weight x score."""

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "weight": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0),
        "lexical": (0.0, 0.3),
        "short_query_words": (1, 6),
    }

    separate: ClassVar[bool] = True

    method: Literal["relative"] = "relative"
    """Selects this method."""

    weight: float = Field(default=5.0, ge=0, le=1000, allow_inf_nan=False)
    """How much the model counts."""

    lexical: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """Share of the original score that lexical evidence replaces: BM25 of title and best passage,
    counted within the window, and the share of the query's words that the group contains."""

    short_query_words: int = Field(default=1, ge=1, le=100)
    """With fewer different words in the query text, the weight falls in proportion, because a
    model learns little from one or two words. 1: never."""

    @property
    def reads_words(self) -> bool:
        """See `FusionMethod`."""
        return self.lexical > 0

    def fuse(self, groups: ScoredGroups) -> list[float]:
        """(original - least) / (5 x mean difference of two) + weight x score.

        Least and mean difference are those of the whole window; a difference of 0 leaves weight x
        score. Lexical evidence, if there is any, replaces the share `lexical` of the first term.
        """
        terms = _mix_evidence(groups, self.lexical)
        weight = self.weight * min(1.0, groups.query_words / self.short_query_words)
        return [term + weight * score for term, score in zip(terms, groups.model, strict=True)]


class Guard(Strict):
    """Query texts for which the words count more than the models."""

    short_query_words: int = Field(default=6, ge=1, le=100)
    """With fewer different words in the query text, the weight of all stages falls in proportion,
    because a model learns little from one or two words. 1: never."""

    long_query_words: int | None = Field(default=None, ge=1, le=10_000)
    """With more different words than this, as in "more like this", the weight of all stages falls
    in proportion. Never if omitted."""

    identifiers: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)
    """Added to a hit that contains all identifiers of the query text, and a share of it for some
    of them. Identifiers are words with a digit, and words that only the first hit and at most one
    other have. 0: nothing."""

    def factor(self, query_words: int) -> float:
        """The factor of all stages' weights for this number of different words; 0 to 1."""
        factor = min(1.0, query_words / self.short_query_words)
        if self.long_query_words is not None and query_words > self.long_query_words:
            factor *= self.long_query_words / query_words
        return factor


class AdditiveFusion(Strict):
    """Original / (5 x mean difference of two hits' original scores) + what each stage adds.

    A stage adds its own weight x score / spread of its model.
    """

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {"lexical": (0.0, 0.3, 0.5)}

    separate: ClassVar[bool] = True

    method: Literal["additive"] = "additive"
    """Selects this method."""

    lexical: float = Field(default=0.3, ge=0, le=1, allow_inf_nan=False)
    """Share of the original score that lexical evidence replaces: BM25 of title and best passage,
    counted within the window, and the shares of the query's words and word pairs that the group
    contains."""

    stems: str = "none"
    """Language by whose word stems the lexical evidence compares words, such as `english` or
    `german`; `none`: words as they are written. Whether the index stems its words makes no
    difference to this choice."""

    guard: Guard = Guard()
    """When the words count more than the models, by the words of the query text."""

    @field_validator("stems")
    @classmethod
    def _is_a_language(cls, value: str) -> str:
        if value not in {*STEM_LANGUAGES, "none"}:
            raise ValueError(f"write none or one of {', '.join(STEM_LANGUAGES)}")
        return value

    @property
    def reads_words(self) -> bool:
        """See `FusionMethod`."""
        return self.lexical > 0 or self.guard.identifiers > 0

    def lexical_part(self, groups: ScoredGroups) -> list[float]:
        """What the words say of each group, without any model; higher is better.

        (1 - lexical) x (original - least) / (5 x mean difference of two) + lexical x evidence, and
        what the guard of identifiers adds. Without evidence, the first term alone.
        """
        terms = _mix_evidence(groups, self.lexical)
        if groups.exact:
            terms = [
                term + self.guard.identifiers * share
                for term, share in zip(terms, groups.exact, strict=True)
            ]
        return terms

    def fuse(self, groups: ScoredGroups) -> list[float]:
        """The lexical part + `model`, which is the sum of what the stages add."""
        return [
            term + added
            for term, added in zip(self.lexical_part(groups), groups.model, strict=True)
        ]


class WeightedFusion(Strict):
    """(1 - weight) x original + weight x score, both scaled to 0..1 by their least and highest."""

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "weight": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    }

    separate: ClassVar[bool] = False

    method: Literal["weighted"] = "weighted"
    """Selects this method."""

    weight: float = Field(ge=0, le=1, allow_inf_nan=False)
    """The model's share."""

    reads_words: ClassVar[bool] = False

    def fuse(self, groups: ScoredGroups) -> list[float]:
        """(1 - weight) x original + weight x score, both scaled; equal ones scale to 0."""
        pairs = zip(_min_max(groups.original), _min_max(groups.model), strict=True)
        return [(1 - self.weight) * original + self.weight * score for original, score in pairs]


class RrfFusion(Strict):
    """Reciprocal ranks: 1 / (60 + original rank) + weight / (60 + rank by score)."""

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {"weight": (0.25, 0.5, 1.0, 2.0, 4.0)}

    separate: ClassVar[bool] = False

    method: Literal["rrf"] = "rrf"
    """Selects this method."""

    weight: float = Field(default=5.0, ge=0, le=1000, allow_inf_nan=False)
    """How much the model counts."""

    reads_words: ClassVar[bool] = False

    def fuse(self, groups: ScoredGroups) -> list[float]:
        """1 / (60 + original rank) + weight / (60 + rank by score); ranks count from 1.

        Ties rank in the original order. Source: Cormack, Clarke and Buettcher, SIGIR 2009, with a
        weight added.
        """
        ranks = enumerate(_ranks(groups.model), start=1)
        return [1 / (_RRF_K + own) + self.weight / (_RRF_K + model) for own, model in ranks]


class ReplaceFusion(Strict):
    """The model's order alone."""

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    separate: ClassVar[bool] = True

    method: Literal["replace"] = "replace"
    """Selects this method."""

    reads_words: ClassVar[bool] = False

    def fuse(self, groups: ScoredGroups) -> list[float]:
        """The model's scores as they are."""
        return list(groups.model)


Fusion = Annotated[
    Annotated[RelativeFusion, Tag("relative")]
    | Annotated[AdditiveFusion, Tag("additive")]
    | Annotated[WeightedFusion, Tag("weighted")]
    | Annotated[RrfFusion, Tag("rrf")]
    | Annotated[ReplaceFusion, Tag("replace")],
    Field(discriminator=by_method("relative")),
]
"""How a plan fuses: one of the methods, with the settings that act on it."""


def _mix_evidence(groups: ScoredGroups, lexical: float) -> list[float]:
    """The original scores in distances; evidence, if there is any, replaces the share `lexical`."""
    terms = groups.terms()
    if not lexical or not groups.evidence:
        return terms
    return [
        (1 - lexical) * term + lexical * evidence
        for term, evidence in zip(terms, groups.evidence, strict=True)
    ]


def _min_max(values: Sequence[float]) -> list[float]:
    bottom, top = min(values, default=0.0), max(values, default=0.0)
    if bottom == top:
        return [0.0] * len(values)
    return [(value - bottom) / (top - bottom) for value in values]


def _ranks(values: Sequence[float]) -> list[int]:
    """The rank of each value, the highest 1; ties in the order given."""
    ranks = [0] * len(values)
    for rank, index in enumerate(sorted(range(len(values)), key=lambda i: -values[i]), start=1):
        ranks[index] = rank
    return ranks
