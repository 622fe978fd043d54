"""The section that applications of OpenSearch's Kendra Intelligent Ranking plugin put into `ext`.

    {"ext": {"search_configuration": {"result_transformer": {"kendra_intelligent_ranking":
      {"order": 1, "properties": {"title_field": "t", "body_field": "b", "doc_limit": 25}}}}}}

A cluster without the plugin refuses it, so it is cut out of the request; what it says takes the
place of what the plan says. The rules are those of the plugin (search-processor 2.11,
`KendraIntelligentRankingConfiguration`). A section that it would refuse stays where it is: the
cluster's own error says what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field, ValidationError

from pipelines.plan import DocumentFields, FieldNames, Plan, Strict
from sidecar.opensearch.json_spans import (
    NotJson,
    Spanned,
    read_document,
    read_object,
    read_unique_value,
    replace_spans,
    spans_of_members,
)
from sidecar.relay.front import Request
from sidecar.relay.heads import RequestHead

PLUGIN_PLAN: Final = "kendra-intelligent-ranking"
"""Name of the plan that such searches get; without it they get their route's."""

SECTION: Final = "search_configuration"

_TRANSFORMER: Final = "kendra_intelligent_ranking"
_ABOUT_THE_OLD_BODY: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"trailer", b"content-encoding", b"expect")
)


class _Properties(Strict):
    body_field: FieldNames = Field(min_length=1, max_length=1)
    title_field: FieldNames = Field(default=(), max_length=1)
    doc_limit: int = Field(default=25, ge=25, le=10_000)


class _Transformer(Strict):
    order: Literal[1]
    properties: _Properties


@dataclass(frozen=True, slots=True)
class PluginRanking:
    """The fields that the plugin's applications name; `doc_limit` is the rescore window."""

    document: DocumentFields
    doc_limit: int

    def apply(self, plan: Plan) -> Plan:
        """The plan with these fields and this window in place of its own."""
        return plan.model_copy(update={"document": self.document, "rescore_window": self.doc_limit})


@dataclass(frozen=True, slots=True)
class PluginSection(PluginRanking):
    """What the section said, and the request without it."""

    request: Request


def read_plugin_section(head: RequestHead, body: bytes) -> PluginSection | None:
    """Read the section and cut it out; None when there is none, or not one the plugin takes.

    `body` is the decoded body, JSON by its Content-Type. All its other bytes stay.
    """
    # Nearly every search has none, and a key spelled with escapes is left to the cluster.
    if _TRANSFORMER.encode() not in body:
        return None
    try:
        text = body.decode()
        members = read_document(text, _read_body)
        ext: Spanned = members["ext"]
        configuration = ext.value[SECTION].value
        if configuration.keys() != {"result_transformer"}:
            return None
        transformers = configuration["result_transformer"]
        if transformers.keys() != {_TRANSFORMER}:
            return None
        asked = _Transformer.model_validate(transformers[_TRANSFORMER]).properties
    except (UnicodeDecodeError, NotJson, KeyError, AttributeError, ValidationError):
        return None
    if len(ext.value) > 1:
        spans = spans_of_members(text, ext.start, ext.value, (SECTION,))
    else:
        spans = spans_of_members(text, text.index("{"), members, ("ext",))
    cut = replace_spans(text, [(*span, "") for span in spans]).encode()
    return PluginSection(
        document=DocumentFields(title=asked.title_field, body=asked.body_field),
        doc_limit=asked.doc_limit,
        request=Request(_head_of(head, cut), cut),
    )


def _read_body(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, readers={"ext": _read_ext}, other=read_unique_value)


def _read_ext(text: str, start: int) -> tuple[dict[str, Spanned], int]:
    return read_object(text, start, other=read_unique_value)


def _head_of(head: RequestHead, body: bytes) -> RequestHead:
    """The head as it would be had the client sent this body."""
    kept = [field for field in head.fields if field[0] not in _ABOUT_THE_OLD_BODY]
    length = (b"content-length", b"Content-Length: %d" % len(body))
    return head.replace(fields=(*kept, length), framing=len(body))
