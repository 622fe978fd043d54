"""What a rescored page shows beside the new order, if it was asked for.

`_rescore` explains a hit's place, and `highlight` shows the hit's best passage. Hits with a score
below `min_score`, or less relevant than the plan's `min_relevance`, are left out. All other bytes
of a hit stay. The texts come from OpenSearch's answer to this client, or were fetched with the
client's own credentials; so a client sees no text that it may not read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pipelines.hit_details import HitDetails
from pipelines.plan import PassageHighlight, Plan
from pipelines.texts import replace_surrogates
from pipelines.words import Words, different_words, find_spans
from sidecar.opensearch.filter_path import keeps_hit_member
from sidecar.opensearch.rescore_section import RescoreSection
from sidecar.opensearch.search_request import SearchRequest
from sidecar.opensearch_rules.name_patterns import matches
from sidecar.spans.json_spans import Spanned, read_object, replace_spans

_NOTHING: Final = HitDetails()
_DETAILS_BYTES: Final = 300
# As Lucene's SimpleHTMLEncoder, which OpenSearch uses for `encoder: html`.
_HTML: Final = str.maketrans(
    {'"': "&quot;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#x27;", "/": "&#x2F;"}
)


class Tags(NamedTuple):
    """What is written before and behind each marked word."""

    before: str
    behind: str


class Style(NamedTuple):
    """How a passage is shown, after the plan and the search's own `highlight` are read.

    Without `field`, the passage is shown as the field that contains it, else as `default_field`.
    `tags` has an entry for each field that may be shown.
    """

    field: str | None
    default_field: str
    tags: Mapping[str, Tags]
    html: bool
    replaces: bool


@dataclass(frozen=True, slots=True)
class PageEdits:
    """The edits of a window's hits. `details` are those of the window, in the original order."""

    details: tuple[HitDetails, ...]
    query_words: Words
    explain: bool
    style: Style | None
    has_min_score: bool
    teams: Mapping[int, str] = field(default_factory=dict)
    """With `interleave`, the team of each hit, by its position in the original order."""

    @property
    def size(self) -> int:
        """The approximate number of bytes of memory that they take."""
        passages = sum(sys.getsizeof(one.passage) for one in self.details if one.passage)
        return _DETAILS_BYTES * len(self.details) + passages

    def count_characters(self, hits: int) -> int:
        """The approximate number of characters in the passages of that number of hits."""
        passages = sum(len(one.passage) for one in self.details if one.passage)
        return passages * min(hits, len(self.details)) // max(1, len(self.details))

    def leaves_out(self, position: int) -> bool:
        """Whether the hit at this position of the original order is left out."""
        return self._details(position).too_low

    def edit(self, position: int, token: str, element: str) -> str:
        """A hit's JSON with what it shows; `token` is its original `_score`."""
        details = self._details(position)
        style = self.style if details.own and details.passage else None
        if style is None and not self.explain:
            return element
        members, _ = read_object(element, 0)
        edits: list[tuple[int, int, str]] = []
        added: list[str] = []
        if style is not None and details.passage is not None:
            place = details.place
            field = style.field or (place.field if place else style.default_field)
            shown = (
                f"{_dump(field)}:{_dump([_mark(details.passage, self.query_words, style, field)])}"
            )
            own = members.get("highlight")
            if own is None:
                added.append(f'"highlight":{{{shown}}}')
            elif not isinstance(own.value, dict):
                edits.append((own.start, own.end, f"{{{shown}}}"))
            elif field not in own.value:
                comma = "," if own.value else ""
                edits.append((own.start + 1, own.start + 1, shown + comma))
            elif style.replaces:
                edits.append(_replace_member(element, own, field, shown))
        if self.explain:
            added.append(f'"_rescore":{_explain(position, token, details, self.teams)}')
        if added:
            behind = max((member.end for member in members.values()), default=1)
            comma = "," if members else ""
            edits.append((behind, behind, comma + ",".join(added)))
        return replace_spans(element, edits)

    def _details(self, position: int) -> HitDetails:
        return self.details[position] if position < len(self.details) else _NOTHING


def wants_edits(plan: Plan, section: RescoreSection) -> bool:
    """Whether a search asks for anything beside the order."""
    return bool(section.explain) or _may_leave_out(plan, section) or _wants_highlight(plan, section)


def create_edits(
    details: tuple[HitDetails, ...],
    search_request: SearchRequest,
    plan: Plan,
    section: RescoreSection,
) -> PageEdits:
    """The edits that a search asks for, as far as its `filter_path` shows them."""
    url = {parameter.name: parameter.value for parameter in search_request.parameters}
    filter_path = url.get("filter_path", "")
    own = search_request.members.get("highlight")
    style = None
    if _wants_highlight(plan, section) and keeps_hit_member(filter_path, "highlight"):
        style = _read_style(plan, own.value if own else None)
    return PageEdits(
        details,
        different_words(replace_surrogates(search_request.query_text)),
        bool(section.explain) and keeps_hit_member(filter_path, "_rescore"),
        style,
        _may_leave_out(plan, section),
    )


def _may_leave_out(plan: Plan, section: RescoreSection) -> bool:
    return section.min_score is not None or plan.min_relevance is not None


def _wants_highlight(plan: Plan, section: RescoreSection) -> bool:
    return plan.highlight is not None if section.highlight is None else section.highlight


def _read_style(plan: Plan, own: object) -> Style:
    asked = plan.highlight or PassageHighlight()
    own_settings: Mapping[str, Any] = own if isinstance(own, dict) else {}
    fields = [one.field for one in (*plan.document.body, *plan.document.title)]
    return Style(
        asked.field,
        fields[0],
        {
            name: _read_tags(asked, own_settings, name)
            for name in ([asked.field] if asked.field else fields)
        },
        (asked.encoder or own_settings.get("encoder")) == "html",
        asked.when == "always",
    )


def _read_tags(asked: PassageHighlight, own: Mapping[str, Any], field: str) -> Tags:
    """The tags of a field: the plan's, those that the search has for this field, those that it has
    for all fields, those of its `tags_schema`, or OpenSearch's default."""
    styled = own.get("tags_schema") == "styled"
    places = (_find_field(own.get("fields"), field), own)
    before = _first_tag(asked.pre_tags, *(place.get("pre_tags") for place in places))
    behind = _first_tag(asked.post_tags, *(place.get("post_tags") for place in places))
    return Tags(before or ('<em class="hlt1">' if styled else "<em>"), behind or "</em>")


def _find_field(fields: object, name: str) -> Mapping[str, Any]:
    """The settings of a field in `highlight.fields`, an object or an array of objects."""
    listed = fields if isinstance(fields, list) else [fields]
    settings = [pair for one in listed if isinstance(one, dict) for pair in one.items()]
    settings.sort(key=lambda pair: pair[0] != name)  # the name itself before patterns
    found = next((setting for pattern, setting in settings if matches(pattern, name)), None)
    return found if isinstance(found, dict) else {}


def _first_tag(*places: object) -> str | None:
    for place in places:
        first = next(iter(place), None) if isinstance(place, list | tuple) else place
        if isinstance(first, str):
            return first
    return None


def _mark(passage: str, query_words: Words, style: Style, field: str) -> str:
    tags = style.tags[field]
    pieces = []
    copied = 0
    for start, end in find_spans(passage, query_words):
        pieces += [_encode(passage[copied:start], style), tags.before]
        pieces += [_encode(passage[start:end], style), tags.behind]
        copied = end
    return "".join([*pieces, _encode(passage[copied:], style)])


def _encode(text: str, style: Style) -> str:
    return text.translate(_HTML) if style.html else text


def _replace_member(element: str, own: Spanned, field: str, shown: str) -> tuple[int, int, str]:
    """The edit that puts the passage in the place of OpenSearch's own highlight of the field."""
    members, _ = read_object(element, own.start)
    member = members[field]
    return member.start, member.end, shown[len(_dump(field)) + 1 :]


def _explain(position: int, token: str, details: HitDetails, teams: Mapping[int, str]) -> str:
    place = details.place
    team = f',"team":{_dump(teams[position])}' if position in teams else ""
    return (
        f'{{"rank_before":{position + 1},"score_before":{token},"score":{_dump(details.score)}'
        f',"model":{_dump(details.model)},"lexical":{_dump(details.lexical)}'
        f',"passage":{_dump(details.passage)}'
        f',"offsets":{_dump(place._asdict() if place else None)}{_explain_parts(details)}{team}}}'
    )


def _explain_parts(details: HitDetails) -> str:
    """What additive fusion added up; nothing under other methods."""
    if not details.added:
        return ""
    stages = [part._asdict() for part in details.added]
    return f',"parts":{_dump({"words": details.words, "stages": stages})}'


def _dump(value: object) -> str:
    """Compact JSON; lone surrogates become U+FFFD."""
    return replace_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
