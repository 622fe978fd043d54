"""What search pipelines do, judged by their definitions."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.upstream_values import PipelineUse
from sidecar.opensearch.pipelines import find_pipeline_reason, judge_pipeline, list_rankers
from sidecar.opensearch.search_parameters import find_blocking_reason

FILTER = {"filter_query": {"query": {"term": {"public": True}}}}
RENAME = {"rename_field": {"field": "a", "target_field": "b"}}
TRUNCATE = {"truncate_hits": {"target_size": 5}}
NORMALISE = {"normalization-processor": {"normalization": {"technique": "min_max"}}}
RRF = {"score-ranker-processor": {"combination": {"technique": "rrf"}}}


def script(source: str) -> dict[str, Any]:
    return {"request_processors": [{"script": {"lang": "painless", "source": source}}]}


@pytest.mark.parametrize(
    ("definition", "use", "why"),
    [
        ({}, "keeps_order", ()),
        ({"description": "x", "version": 3, "request_processors": []}, "keeps_order", ()),
        ({"request_processors": [FILTER], "response_processors": [RENAME]}, "keeps_order", ()),
        ({"phase_results_processors": [NORMALISE]}, "normalises", ()),
        ({"phase_results_processors": [RRF], "request_processors": [FILTER]}, "normalises", ()),
        ({"response_processors": [{"hybrid_score_explanation": {}}]}, "keeps_order", ()),
        ({"response_processors": [RENAME, TRUNCATE]}, "reranks", ("truncate_hits",)),
        ({"request_processors": [{"oversample": {}}]}, "reranks", ("oversample",)),
        *(
            ({"response_processors": [{kind: {}}]}, "reranks", (kind,))
            for kind in ("collapse", "sort", "rerank", "personalize_search_ranking", "of_my_own")
        ),
        # A processor in the wrong section is not the one that is known.
        ({"response_processors": [FILTER]}, "reranks", ("filter_query",)),
        ({"phase_results_processors": [RENAME]}, "reranks", ("rename_field",)),
        ({"other_processors": [FILTER]}, "reranks", ("other_processors",)),
        ({"request_processors": [{**FILTER, **RENAME}]}, "reranks", ("unknown form",)),
        ({"request_processors": [None]}, "reranks", ("unknown form",)),
        ({"request_processors": {}}, "reranks", ("request_processors",)),
        ([], "reranks", ("unknown form",)),
        (script("ctx._source['explain'] = true"), "keeps_order", ()),
        (script("ctx._source.profile = false;"), "keeps_order", ()),
        (script("ctx._source['size'] = 50"), "reranks", ("script",)),
        (script("ctx._source.from = 10"), "reranks", ("script",)),
        (script("ctx._source['si' + 'ze'] = 50"), "reranks", ("script",)),
        (script("ctx._source.put(params.k, 50)"), "reranks", ("script",)),
        ({"request_processors": [{"script": {"id": "stored"}}]}, "reranks", ("script",)),
        ({"response_processors": [{"script": {"source": ""}}]}, "reranks", ("script",)),
    ],
)
def test_what_a_pipeline_does(definition: Any, use: str, why: tuple[str, ...]) -> None:
    assert judge_pipeline(definition) == (use, why)


def test_rankers_are_told_from_unknown_processors() -> None:
    judged = judge_pipeline({"response_processors": [{"of_my_own": {}}, TRUNCATE, TRUNCATE]})
    assert judged.why == ("of_my_own", "truncate_hits")
    assert list_rankers(judged) == ("truncate_hits",)


USES: dict[str, PipelineUse] = {
    "filters": "keeps_order",
    "joins": "normalises",
    "truncates": "reranks",
}


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("_none", True),
        ("filters", True),
        ("joins", True),
        ("truncates", False),
        ("nosuch", False),
        ("", False),
        ("Filters", False),
        (None, False),
        (["filters"], False),
        ({"phase_results_processors": [NORMALISE]}, True),
        ({"description": "x", "phase_results_processors": [RRF]}, True),
        ({}, False),
        ({"phase_results_processors": []}, False),
        ({"phase_results_processors": [NORMALISE], "request_processors": [FILTER]}, False),
        ({"phase_results_processors": [NORMALISE, {"other": {}}]}, False),
        ({"phase_results_processors": [RENAME]}, False),
    ],
)
def test_which_pipelines_of_a_request_are_taken(value: Any, taken: bool) -> None:
    assert find_pipeline_reason(value, USES) == (None if taken else "search_pipeline")
    assert find_blocking_reason({}, {"search_pipeline": value}, USES) == (
        None if taken else "search_pipeline"
    )


def test_a_verbose_pipeline_is_left_alone() -> None:
    body = {"search_pipeline": "filters", "verbose_pipeline": True}
    assert find_blocking_reason({}, body, USES) == "search_pipeline"
