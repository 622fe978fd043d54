"""What the setting `extended` adds to requests, and takes out of the sidecar's answers again.

Searches get a search pipeline, in the request to both sides. Searches also get a section
`ext.rescore`, in the request to the sidecar alone. What that section asks for is then taken out of
the answer, byte by byte, so that the rest can be compared with OpenSearch's own answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Final

from sidecar.spans.json_spans import (
    Reader,
    Spanned,
    read_array,
    read_document,
    read_object,
    read_value,
    replace_spans,
    spans_of_members,
)
from tests.differential.case import Case
from tests.differential.corpus import PIPELINES, ROUTED
from tests.differential.masks import decoded_body, encoded_body
from tests.raw_http import RawResponse

_SECTIONS: Final[tuple[dict[str, Any], ...]] = (
    *({}, {"explain": False, "highlight": False}, {"explain": True}, {"highlight": True}),
    *({"explain": True, "highlight": True}, {"min_score": -1e9}),
    {"explain": True, "highlight": True, "min_score": -1e9, "plan": "fuzz"},
)
_WITH_PIPELINE: Final = 0.25
_WITH_SECTION: Final = 0.75
_UNEDITABLE = re.compile(
    r"(?i)x-amz-content-sha256:|authorization: *aws4-"
    r"|content-type:(?!\s*application/(x-nd)?json\s*$)"
)
_LINES = re.compile(r"(?i)content-type:\s*application/x-ndjson\s*$")
_SHOWN: Final = {"explain": "_rescore", "highlight": "highlight"}


def extend_case(case: Case, random: Random) -> Case:
    """The request with what `extended` adds: sometimes a pipeline, mostly a section."""
    if case.path.endswith("/_search") and random.random() < _WITH_PIPELINE:
        case = _with_pipeline(case, random.choice(list(PIPELINES)), random.random() < 0.5)
    if random.random() < _WITH_SECTION:
        case = replace(case, section=json.dumps(random.choice(_SECTIONS)))
    return case


def with_section(case: Case) -> Case | None:
    """The request with its section in the body; None if it has none, or no place for it.

    The sidecar forwards the section if it may not edit the request: a signed one, another content
    type than JSON in UTF-8 (JSON in lines only for an `_msearch`), an object with repeated keys.
    Those requests have no place for it, nor has a body with an `ext` of its own.
    """
    if not case.section or case.body is None or any(map(_UNEDITABLE.match, case.fields)):
        return None
    if case.path.endswith("/_search"):
        in_lines = any(map(_LINES.match, case.fields))
        body = None if in_lines else _insert(case.body, case.section)
    elif case.path.endswith("/_msearch"):
        body = _insert_in_items(case)
    else:
        body = None
    return None if body is None else replace(case, body=body)


def take_out(
    case: Case, direct: RawResponse, through: RawResponse
) -> tuple[RawResponse, RawResponse]:
    """Both answers without what the section asks for.

    A passage may stand in the search's own `highlight`, so a section that asks for highlights takes
    the whole member out of both answers. Everything else of the direct answer stays.
    """
    section = json.loads(case.section)
    names = [name for key, name in _SHOWN.items() if section.get(key)]
    if not names or direct.status != 200 or through.status != 200:
        return direct, through
    return _cut(direct, names), _cut(through, names)


def shows(case: Case, through: RawResponse) -> bool:
    """Whether the answer has something that the section asks for."""
    return bool(json.loads(case.section).get("explain")) and b'"_rescore":{' in decoded_body(
        through
    )


def _with_pipeline(case: Case, name: str, in_body: bool) -> Case:
    if not in_body or case.body is None:
        return replace(case, parameters=(*case.parameters, f"search_pipeline={name}"))
    members = _members(case.body)
    if not members or "search_pipeline" in members:
        return case
    return replace(case, body=f'{{"search_pipeline":"{name}",{case.body[1:]}')


def _insert(body: str, section: str) -> str | None:
    members = _members(body)
    if not members or "ext" in members:
        return None
    return f'{{"ext":{{"rescore":{section}}},{body[1:]}'


def _insert_in_items(case: Case) -> str | None:
    """The body of an `_msearch` with the section in each routed item; None if it has none."""
    lines = (case.body or "").split("\n")
    path_index = case.path.removesuffix("/_msearch").removeprefix("/")
    changed = False
    for place in range(0, len(lines) - 1, 2):
        header = _members(lines[place])
        line = _insert(lines[place + 1], case.section)
        if header is None or line is None or "indices" in header:
            continue
        if header.get("index", path_index) in ROUTED:
            lines[place + 1], changed = line, True
    return "\n".join(lines) if changed else None


def _members(text: str) -> dict[str, Any] | None:
    """The members of a text that is one JSON object, and starts with it; None for all others."""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_read_strictly, parse_constant=_refuse)
        text.encode()
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_strictly(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is repeated")
    return dict(pairs)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _cut(answer: RawResponse, names: list[str]) -> RawResponse:
    # Every byte is one character of Latin-1, so the text has the bytes of the body.
    text = decoded_body(answer).decode("latin-1")
    spans: list[tuple[int, int]] = []
    hits = partial(_read_hits, names=names, spans=spans)
    items = partial(read_array, element=partial(_read_object_or_value, readers={"hits": hits}))
    readers: dict[str, Reader] = {"hits": hits, "responses": items}
    try:
        read_document(text, partial(read_object, readers=readers))
    except ValueError:
        return answer
    body = replace_spans(text, [(*span, "") for span in spans]).encode("latin-1")
    return replace(answer, body=encoded_body(answer, body))


def _read_object_or_value(text: str, start: int, readers: dict[str, Reader]) -> tuple[Any, int]:
    reader = partial(read_object, readers=readers) if text.startswith("{", start) else read_value
    return reader(text, start)


def _read_hits(
    text: str, start: int, names: list[str], spans: list[tuple[int, int]]
) -> tuple[Any, int]:
    def read_hit(text: str, start: int) -> tuple[dict[str, Spanned], int]:
        members, end = read_object(text, start)
        present = [name for name in names if name in members]
        if present:
            spans.extend(spans_of_members(text, start, members, present))
        return members, end

    return read_object(text, start, readers={"hits": partial(read_array, element=read_hit)})
