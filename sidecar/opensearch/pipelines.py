"""Whether a search with a search pipeline can be rescored, and what a pipeline does to the hits.

A search pipeline changes a search before it runs, its scores, or its answer. The sidecar fetches a
window of hits and orders it, so only processors that change neither the number nor the order of
hits go together with it. In a request a pipeline is only a name, so the operator says what it does
(`upstream.pipelines`); `check --upstream` reads the definitions and proposes it. A pipeline that is
written in the request is taken only if it joins the scores of a `hybrid` query and does nothing
else.

Source: OpenSearch's list of search processors (search-plugins/search-pipelines/search-processors),
and `SearchRequestMap` of search-pipeline-common for what a script can change.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sidecar.config.upstream_values import PipelineUse
from sidecar.opensearch.skip_reasons import Skip

_NORMALISERS = frozenset({"normalization-processor", "score-ranker-processor"})
# By the section that they may be in. What is not here counts as `reranks`.
_KEEPERS: Mapping[str, frozenset[str]] = {
    "request_processors": frozenset({"filter_query", "neural_query_enricher"}),
    "phase_results_processors": frozenset(),
    "response_processors": frozenset({"rename_field", "split", "hybrid_score_explanation"}),
}
# Processors that are known to change the number or the order of hits.
_RANKERS = frozenset(
    {
        *("oversample", "truncate_hits", "collapse", "sort", "rerank", "mmr_over_sample"),
        *("mmr_rerank", "personalize_search_ranking", "kendra_ranking", "ml_inference"),
        *("agentic_query_translator", "agentic_context", "neural_sparse_two_phase_processor"),
    }
)
# A script on the request may write the page into the search, so only assignments to these are safe.
_NAME = r"(?:explain|profile|seq_no_primary_term|track_scores|track_total_hits|version)"
_ASSIGNMENTS = re.compile(
    rf"(?:\s*ctx\._source(?:\.{_NAME}|\[(['\"]){_NAME}\1\])\s*=\s*(?:true|false|\d+)\s*(?:;|\Z))+\s*"
)
_KEY = "upstream.pipelines"
_NO_PROCESSORS = frozenset({"description", "version"})


class JudgedPipeline(NamedTuple):
    """What a pipeline does; `why` names the processors that make it `reranks`, in their order."""

    use: PipelineUse
    why: tuple[str, ...] = ()


def find_pipeline_reason(value: object, uses: Mapping[str, PipelineUse]) -> str | None:
    """The reason why a `search_pipeline` of the URL or the body forbids a new order, or None.

    `uses` are the pipelines that the configuration names.
    """
    if isinstance(value, str):
        taken = value == "_none" or uses.get(value) in ("keeps_order", "normalises")
    else:
        taken = _only_normalises(value)
    return None if taken else "search_pipeline"


def names_pipeline(places: Iterable[Container[str]]) -> bool:
    """Whether a search says itself which pipeline it has; `places` are the names of the URL's
    parameters and of the body's members."""
    return any("search_pipeline" in names for names in places)


def judge_default(name: str | None, uses: Mapping[str, PipelineUse]) -> Skip | None:
    """The Skip of a search whose indexes have this default pipeline, or None."""
    reason = None if name is None else find_pipeline_reason(name, uses)
    if reason is None:
        return None
    return Skip(reason, find_pipeline_key(({"search_pipeline": name},), uses))


def find_pipeline_key(
    places: Iterable[Mapping[str, object]], uses: Mapping[str, PipelineUse]
) -> str:
    """The key of the main file that says what a search's pipeline does; empty if none is missing.

    `places` are the URL's parameters and the members of the body.
    """
    for place in places:
        name = place.get("search_pipeline")
        if isinstance(name, str) and name != "_none" and name not in uses:
            # The key is shown in a header line.
            return f"{_KEY}.{name}" if re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name) else _KEY
    return ""


def judge_pipeline(definition: object) -> JudgedPipeline:
    """What a pipeline does, by its definition as `GET /_search/pipeline` returns it.

    Whatever is not known counts as `reranks`.
    """
    if not isinstance(definition, dict):
        return JudgedPipeline("reranks", ("unknown form",))
    normalises = False
    others = []
    for section, kind, setting in _list_processors(definition):
        if section == "phase_results_processors" and kind in _NORMALISERS:
            normalises = True
        elif kind in _KEEPERS.get(section, ()):
            continue
        elif not (section == "request_processors" and kind == "script" and _is_harmless(setting)):
            others.append(kind)
    if others:
        return JudgedPipeline("reranks", tuple(dict.fromkeys(others)))
    return JudgedPipeline("normalises" if normalises else "keeps_order")


def list_rankers(judged: JudgedPipeline) -> tuple[str, ...]:
    """The processors of a pipeline that are known to change the number or the order of hits."""
    return tuple(kind for kind in judged.why if kind in _RANKERS)


def _only_normalises(definition: object) -> bool:
    """Whether a pipeline in a request does nothing but join the scores of a `hybrid` query."""
    if not isinstance(definition, dict):
        return False
    processors = list(_list_processors(definition))
    return bool(processors) and all(
        section == "phase_results_processors" and kind in _NORMALISERS
        for section, kind, _ in processors
    )


def _list_processors(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Section, kind and setting of each processor."""
    for section, listed in definition.items():
        if section in _NO_PROCESSORS:
            continue
        if section not in _KEEPERS or not isinstance(listed, list):
            yield section, section, None
            continue
        for processor in listed:
            if isinstance(processor, dict) and len(processor) == 1:
                yield section, *next(iter(processor.items()))
            else:
                yield section, "unknown form", None


def _is_harmless(setting: object) -> bool:
    """Whether a script processor is known not to change the page or the order."""
    # A stored script has an `id` and no source.
    source = setting.get("source") if isinstance(setting, dict) else None
    if not isinstance(source, str):
        return False
    return len(source) <= 10_000 and _ASSIGNMENTS.fullmatch(source) is not None
