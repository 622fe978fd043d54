"""Hypothesis strategies for JSON as text: what a parser sees, not what a writer of values makes.

White space, escapes, numbers that no float holds, lone surrogates, repeated names at depth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

space = st.text(alphabet=" \t\n\r", max_size=2)

numbers = st.one_of(
    st.sampled_from(
        [
            "0",
            "-0",
            "1.10",
            "1E5",
            "1.0E-5",
            "1.6777216E7",
            "18446744073709551616",
            "1e400",
            "-1e-9",
        ]
    ),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)

_plain = st.characters(exclude_characters='"\\', exclude_categories=("Cs", "Cc"))
_escaped = st.sampled_from(
    [r"\"", r"\\", r"\/", r"\b", r"\n", r"\u00e9", r"\u0071", r"\ud83d", r"\uDE00", r"\uD83D\uDE00"]
)
strings = st.lists(st.one_of(_plain, _escaped), max_size=8).map(lambda c: f'"{"".join(c)}"')
strings_with_raw_surrogates = st.lists(
    st.one_of(_plain, _escaped, st.sampled_from(["\ud800", "\udfff", "\ud83d\ude00"])), max_size=8
).map(lambda characters: f'"{"".join(characters)}"')
keys = st.one_of(st.sampled_from(['"hits"', '"_score"', '"max_score"', '"_id"', '"sort"']), strings)


@st.composite
def objects(
    draw: st.DrawFn, values: st.SearchStrategy[str], names: st.SearchStrategy[str] = keys
) -> str:
    """An object with distinct keys and white space anywhere it may be."""
    chosen = draw(st.lists(names, max_size=4, unique_by=json.loads))
    members = [
        f"{draw(space)}{name}{draw(space)}:{draw(space)}{draw(values)}{draw(space)}"
        for name in chosen
    ]
    return "{" + (",".join(members) or draw(space)) + "}"


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """An array with white space anywhere it may be."""
    items = [f"{draw(space)}{one}{draw(space)}" for one in draw(st.lists(values, max_size=4))]
    return "[" + (",".join(items) or draw(space)) + "]"


values = st.recursive(
    st.one_of(numbers, strings_with_raw_surrogates, st.sampled_from(["true", "false", "null"])),
    lambda inner: st.one_of(objects(inner), arrays(inner)),
    max_leaves=8,
)


@dataclass(frozen=True, slots=True)
class ResponseText:
    """The pieces that a search response is made of, in their order.

    An element is (text before the `_score` token, the token, text behind it); `between` has the
    text before each element but the first.
    """

    head: str
    max_score: str
    opening: str
    elements: tuple[tuple[str, str, str], ...]
    between: tuple[str, ...]
    closing: str
    tail: str

    def text(self, order: list[int], scores: list[str], max_score: str) -> str:
        """The response with the elements in that order and those tokens, by place."""
        array = ""
        for place, (position, score) in enumerate(zip(order, scores, strict=True)):
            before, _, behind = self.elements[position]
            array += (self.between[place - 1] if place else "") + before + score + behind
        middle = "[ ]" if self.opening.strip("[") else "[]"
        if order:
            middle = self.opening + array + self.closing
        elif not self.elements:
            middle = self.opening + self.closing
        return self.head.replace("MAX", max_score) + middle + self.tail

    @property
    def whole(self) -> str:
        positions = list(range(len(self.elements)))
        return self.text(positions, [score for _, score, _ in self.elements], self.max_score)


_score_tokens = st.one_of(
    st.sampled_from(["1.0", "0.2876821", "1.6777216E7", "1.0E-5", "3", "-2.50", "1.10"]),
    st.floats(min_value=-(2.0**100), max_value=2.0**100, width=32).map(repr),
)


@st.composite
def elements(draw: st.DrawFn) -> tuple[str, str, str]:
    """One hit; its `_score` may stand anywhere among its members."""
    source = draw(objects(values, names=strings_with_raw_surrogates))
    members = [
        f'"_index"{draw(space)}:"i"',
        f'"_id":{draw(space)}{draw(strings)}',
        f'"_source":{draw(space)}{source}',
        f'"inner_hits":{{"x":{{"hits":{{"max_score":null,"hits":[{source}]}}}}}}',
    ]
    members = draw(st.permutations(members))
    cut = draw(st.integers(0, len(members)))
    before = "{" + "".join(member + draw(space) + "," for member in members[:cut])
    before += f'"_score"{draw(space)}:{draw(space)}'
    behind = draw(space) + "".join(f",{draw(space)}{member}" for member in members[cut:]) + "}"
    return before, draw(_score_tokens), behind


@st.composite
def responses(draw: st.DrawFn) -> ResponseText:
    """A search response with aggregations before or behind its hits, compact, pretty or neither."""
    hits = tuple(draw(st.lists(elements(), max_size=5)))
    aggs = '"aggregations":{"a":{"hits":{"max_score":9,"hits":[{"_score":9}]}}}'
    aggs_first = draw(st.booleans())
    head = '{"took":1,"timed_out":false,"_shards":{"total":1,"failed":0},'
    head += f"{aggs}," if aggs_first else ""
    head += f'"hits"{draw(space)}:{draw(space)}{{"total":{{"value":3}},"max_score" : MAX ,"hits":'
    gap = draw(st.sampled_from(["", " ", "\n      "]))
    tail = draw(space) + "}" + ("" if aggs_first else f",{aggs}") + "}" + draw(space)
    return ResponseText(
        head=head,
        max_score=draw(_score_tokens),
        opening=f"[{gap}",
        elements=hits,
        between=tuple(draw(space) + "," + draw(space) for _ in hits[1:]),
        closing=f"{gap}]",
        tail=tail,
    )
