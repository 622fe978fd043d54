"""The section that applications of the Kendra Intelligent Ranking plugin put into `ext`.

    {"ext": {"search_configuration": {"result_transformer": {"kendra_intelligent_ranking":
      {"order": 1, "properties": {"title_field": "t", "body_field": "b", "doc_limit": 25}}}}}}

A cluster without the plugin refuses the section, so it is cut out of the request. Its fields and
window replace those of the plan. The rules are those of the plugin (search-processor 2.11,
`KendraIntelligentRankingConfiguration`). A section that the plugin would refuse stays in the
request, and the cluster answers with an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field, ValidationError

from pipelines.plan import DocumentFields, Plan
from pipelines.strict import FieldNames, Strict
from sidecar.config.limits import Limits
from sidecar.opensearch_rules.ext_sections import read_ext_section, write_head_for
from sidecar.opensearch_rules.limits import MAX_RESULT_WINDOW
from sidecar.relay.front import Request
from sidecar.relay.heads import RequestHead

PLUGIN_PLAN: Final = "kendra-intelligent-ranking"
"""Name of the plan for such searches; without such a plan they get the plan of their route."""

SECTION: Final = "search_configuration"

_TRANSFORMER: Final = "kendra_intelligent_ranking"


class _Properties(Strict):
    body_field: FieldNames = Field(min_length=1, max_length=1)
    title_field: FieldNames = Field(default=(), max_length=1)
    doc_limit: int = Field(default=25, ge=25, le=MAX_RESULT_WINDOW)


class _Transformer(Strict):
    order: Literal[1]
    properties: _Properties


@dataclass(frozen=True, slots=True)
class PluginRanking:
    """The fields and the rescore window (`doc_limit`) that an application of the plugin sets."""

    document: DocumentFields
    doc_limit: int

    def apply(self, plan: Plan) -> Plan:
        """The plan, with these fields and this window."""
        return plan.model_copy(update={"document": self.document, "rescore_window": self.doc_limit})


@dataclass(frozen=True, slots=True)
class PluginSection(PluginRanking):
    """The settings of a section, and the request without that section."""

    request: Request


def has_plugin_section(body: bytes) -> bool:
    """Whether the decoded body may have the section; nearly no body has it.

    A key with escapes is not recognized; then the cluster answers with an error.
    """
    return _TRANSFORMER.encode() in body


def read_plugin_section(head: RequestHead, body: bytes, limits: Limits) -> PluginSection | None:
    """Read the section and cut it out; None if there is none, or if the plugin would refuse it.

    `body` is the decoded body, whose Content-Type is JSON. Its other bytes stay. A body that
    exceeds the limits is not read.
    """
    found = (
        read_ext_section(body, SECTION, limits.search_values) if has_plugin_section(body) else None
    )
    if found is None:
        return None
    configuration, cut = found
    try:
        if configuration.keys() != {"result_transformer"}:
            return None
        transformers = configuration["result_transformer"]
        if transformers.keys() != {_TRANSFORMER}:
            return None
        properties = _Transformer.model_validate(transformers[_TRANSFORMER]).properties
    except (AttributeError, ValidationError):
        return None
    return PluginSection(
        document=DocumentFields(title=properties.title_field, body=properties.body_field),
        doc_limit=properties.doc_limit,
        request=Request(write_head_for(head, cut), cut),
    )
