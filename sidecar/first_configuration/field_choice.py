"""Chooses the title, the body and the labels of a kind of document, each with the reason.

Mapping, names and documents decide together. The mapping says what cannot be text, the documents
say how long and how different the values are, and names settle what both leave open. A label is
short text about the document, such as its brand or genre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.first_configuration.field_names import (
    CODES,
    LABELS,
    body_rank,
    subject,
    title_rank,
    write_label,
)
from sidecar.first_configuration.field_values import (
    KEYWORD_TYPES,
    TEXT_TYPES,
    FieldContents,
    describe_values,
    read_values,
)

MOST_BODIES: Final = 3
MOST_LABELS: Final = 5
_TITLE_WORDS: Final = 40
_LONG_WORDS: Final = 20
_LABEL_WORDS: Final = 30
_ALL_LABEL_WORDS: Final = 60
# With fewer values, how many of them differ says little.
_ENOUGH_VALUES: Final = 10
_MOSTLY: Final = 0.5
_NEARLY_ALL: Final = 0.9
_TYPES_IN_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("knn_vector", "sparse_vector", "rank_features", "rank_feature"), "a vector"),
    **dict.fromkeys(("date", "date_nanos", "date_range"), "a date"),
    **dict.fromkeys(("long", "integer", "short", "byte", "unsigned_long"), "a number"),
    **dict.fromkeys(("double", "float", "half_float", "scaled_float"), "a number"),
    **dict.fromkeys(("boolean", "binary", "ip", "percolator", "join", "completion"), "not text"),
    **dict.fromkeys(("geo_point", "geo_shape", "xy_point", "xy_shape"), "a place"),
}


@dataclass(frozen=True, slots=True)
class ChosenField:
    """A field for the plan; `label` stands before its value. `why` has its figures."""

    name: str
    why: str
    label: str | None = None


@dataclass(slots=True)
class FieldChoice:
    """The document of a plan, and the reason for each field that is not in it.

    Without title and body there is nothing to read.
    """

    title: ChosenField | None = None
    bodies: tuple[ChosenField, ...] = ()
    labels: tuple[ChosenField, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return self.title is None and not self.bodies

    @property
    def names(self) -> tuple[str, ...]:
        """The chosen fields, in the order of the plan."""
        title = (self.title,) if self.title else ()
        return tuple(each.name for each in (*title, *self.labels, *self.bodies))


def readable_fields(fields: Mapping[str, str]) -> list[str]:
    """The fields whose values can be text at all, by their type."""
    return [name for name, kind in fields.items() if kind in TEXT_TYPES | KEYWORD_TYPES]


def choose_fields(fields: Mapping[str, str], sources: Sequence[Mapping[str, Any]]) -> FieldChoice:
    """Choose from a mapping's fields, type by name, and some documents."""
    choice = FieldChoice()
    for name, kind in fields.items():
        if kind not in TEXT_TYPES | KEYWORD_TYPES:
            choice.left_out[name] = _TYPES_IN_WORDS.get(kind, f"of type {kind}")
    values = {
        name: [read_values(source, name) for source in sources] for name in readable_fields(fields)
    }
    contents = {name: describe_values(documents) for name, documents in values.items()}
    _Choosing(fields, values, contents, choice).choose()
    return choice


@dataclass(slots=True)
class _Choosing:
    """One choice; `values` has a list per document, `contents` the figures."""

    fields: Mapping[str, str]
    values: Mapping[str, Sequence[Sequence[str]]]
    contents: Mapping[str, FieldContents]
    choice: FieldChoice

    def choose(self) -> None:
        texts = []
        for name, contents in self.contents.items():
            reason = _why_no_text(contents)
            if reason is None and self.fields[name] in TEXT_TYPES:
                texts.append(name)
            elif reason is None and not self._is_label(name):
                reason = "exact values (keyword), not text"
            if reason is not None:
                self.choice.left_out[name] = reason
        title = self._find_title(texts)
        bodies = self._find_bodies([name for name in texts if name != title])
        if title is None and not bodies:
            title, bodies = None, self._any_text(texts)
        bodies = self._without_repetitions(bodies)
        labels = self._find_labels(
            [
                name
                for name in self.contents
                if name != title and name not in bodies and name not in self.choice.left_out
            ],
            title,
        )
        if title:
            self.choice.title = ChosenField(title, self._figures(title))
        self.choice.bodies = tuple(ChosenField(name, self._figures(name)) for name in bodies)
        if not self.choice.is_empty:
            self.choice.labels = tuple(
                ChosenField(name, self._figures(name), write_label(name)) for name in labels
            )

    def _find_title(self, texts: Sequence[str]) -> str | None:
        ranked = [
            (rank, name)
            for name in texts
            if (rank := title_rank(name)) is not None and self._can_be_title(name, _MOSTLY / 2)
        ]
        if ranked:
            return min(ranked)[1]
        short = [
            (self.contents[name].words, name)
            for name in texts
            if self._can_be_title(name, _NEARLY_ALL)
            and 2 <= self.contents[name].words <= _LONG_WORDS
            and body_rank(name) is None
            and subject(name) not in LABELS | CODES
        ]
        return min(short)[1] if short and len(texts) > 1 else None

    def _can_be_title(self, name: str, share: float) -> bool:
        its = self.contents[name]
        different = its.different >= share or its.documents < _ENOUGH_VALUES
        return its.values == 1 and its.words <= _TITLE_WORDS and its.filled >= share and different

    def _find_bodies(self, texts: Sequence[str]) -> list[str]:
        """Long texts, those with a known name first."""
        ranked = []
        for place, name in enumerate(texts):
            its, rank = self.contents[name], body_rank(name)
            is_long = its.words >= _LONG_WORDS and subject(name) not in LABELS | CODES
            if rank is None and is_long and its.different >= _MOSTLY and its.values == 1:
                ranked.append((1000, place, name))
            elif rank is not None and its.words >= 4 and self._varies(name):
                ranked.append((rank, place, name))
        found = [name for _, _, name in sorted(ranked)]
        for name in found[2 * MOST_BODIES :]:
            self.choice.left_out[name] = "there are longer or better named texts"
        return found[: 2 * MOST_BODIES]

    def _varies(self, name: str) -> bool:
        """Whether the field is more than a category or a notice that many documents share."""
        its = self.contents[name]
        few = its.documents < _ENOUGH_VALUES or its.filled * its.documents < _ENOUGH_VALUES
        return few or its.different >= _MOSTLY / 2

    def _any_text(self, texts: Sequence[str]) -> list[str]:
        """The longest text, in an index that has neither titles nor bodies."""
        longest = sorted((-self.contents[name].words, name) for name in texts)
        return [
            name
            for words, name in longest[:1]
            if words <= -2 and self._varies(name) and subject(name) not in LABELS | CODES
        ]

    def _without_repetitions(self, bodies: Sequence[str]) -> list[str]:
        """The bodies without those that are a part of another."""
        kept: list[str] = []
        for name in bodies:
            others = [other for other in bodies if other != name]
            whole = next((o for o in others if self._is_part(name, o, kept)), None)
            if whole is not None:
                self.choice.left_out[name] = f"a part of {whole}"
            elif len(kept) >= MOST_BODIES:
                self.choice.left_out[name] = "there are longer or better named texts"
            else:
                kept.append(name)
        return kept

    def _is_part(self, name: str, whole: str, kept: Sequence[str]) -> bool:
        """Whether nearly all values of `name` stand in `whole`; of two equal ones, one remains."""
        if whole in self.choice.left_out:
            return False
        pairs = [
            (" ".join(own).casefold(), " ".join(other).casefold())
            for own, other in zip(self.values[name], self.values[whole], strict=True)
            if own
        ]
        if sum(own in other for own, other in pairs) < _NEARLY_ALL * len(pairs):
            return False
        equal = sum(own == other for own, other in pairs) >= _NEARLY_ALL * len(pairs)
        return not equal or whole in kept

    def _find_labels(self, names: Sequence[str], title: str | None) -> list[str]:
        """Short texts about the document, the shortest first, within a number of words."""
        found: list[str] = []
        left_out = self.choice.left_out
        ranked = sorted(
            names, key=lambda name: (subject(name) not in LABELS, self.contents[name].words, name)
        )
        total = 0.0
        for name in ranked:
            its = self.contents[name]
            if not self._is_label(name):
                left_out[name] = self._why_no_label(name)
            elif whole := self._repeats(name, [*names, *([title] if title else ())]):
                left_out[name] = f"its values are in {whole} too"
            elif len(found) >= MOST_LABELS or total + its.words > _ALL_LABEL_WORDS:
                left_out[name] = "there are enough labels; longer ones would crowd out the text"
            else:
                found.append(name)
                total += its.words
        return sorted(found, key=lambda name: (self.contents[name].words, name))

    def _is_label(self, name: str) -> bool:
        its, about = self.contents[name], subject(name)
        if about in CODES or its.words > _LABEL_WORDS or its.distinct < 2:
            return False
        if about in LABELS:
            return True
        if self.fields[name] in KEYWORD_TYPES or its.values * its.documents < _ENOUGH_VALUES:
            return False
        return its.different <= _MOSTLY and not self._are_states(name)

    def _are_states(self, name: str) -> bool:
        """Whether all values are single words in lower case, such as `published`."""
        return all(
            value.islower() and len(value.split()) == 1
            for document in self.values[name]
            for value in document
        )

    def _why_no_label(self, name: str) -> str:
        its = self.contents[name]
        if subject(name) in CODES:
            return "a code or address, by its name"
        if its.distinct < 2:
            return "the same in every document"
        if its.words > _LABEL_WORDS:
            return f"too long for a label (median {its.words:.0f} words)"
        if its.different > _MOSTLY:
            return (
                f"short text that differs in most documents ({its.different:.0%} of its values);"
                " add it if people search for it"
            )
        return "looks like a state or a code"

    def _repeats(self, name: str, others: Sequence[str]) -> str | None:
        """A field that nearly always has all values of this one, and more."""
        own = [set(map(str.casefold, values)) for values in self.values[name]]
        filled = [place for place, values in enumerate(own) if values]
        for other in others:
            if other == name or other in self.choice.left_out:
                continue
            theirs = [set(map(str.casefold, values)) for values in self.values[other]]
            within = sum(own[place] <= theirs[place] for place in filled)
            if within >= _NEARLY_ALL * len(filled) and (own != theirs or other < name):
                return other
        return None

    def _figures(self, name: str) -> str:
        its = self.contents[name]
        words = f"median {its.words:.0f} word{'' if its.words == 1 else 's'}"
        if its.values > 1:
            words += f" in {its.values:.0f} values"
        parts = [words, f"in {its.filled:.0%} of {its.documents} documents"]
        if its.different < 1:
            parts.append(f"{its.different:.0%} different")
        if self.fields[name] in KEYWORD_TYPES:
            parts.append("of type keyword")
        return ", ".join(parts)


def _why_no_text(contents: FieldContents) -> str | None:
    """Why a field's values are nothing to read; None if they may be."""
    if not contents.filled:
        return "empty in all documents" if contents.documents else "there are no documents"
    for share, reason in (
        (contents.dates, "dates"),
        (contents.numbers, "numbers"),
        (contents.addresses, "addresses (URLs, paths or e-mail)"),
        (contents.tables, "JSON or encoded data"),
        (contents.codes, "codes or ids"),
    ):
        if share > _MOSTLY:
            return reason
    mixed = contents.numbers + contents.dates + contents.addresses + contents.codes
    return "mostly numbers, dates and codes" if mixed > 0.8 else None
