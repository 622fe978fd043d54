"""Compares `upstream.pipelines` with the cluster's search pipelines, for `check --upstream`.

The definition of a pipeline says what its processors are. If all of them are known, this says what
the pipeline does. So the check can propose the lines of `upstream.pipelines`, and find lines that
the cluster contradicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sidecar.config.upstream_values import PipelineUse
from sidecar.opensearch.pipelines import JudgedPipeline, judge_pipeline, list_rankers


def read_pipelines(client: Any) -> dict[str, JudgedPipeline] | None:
    """What each search pipeline of the cluster does; None if the account may not read them.

    Raises other errors of the client.
    """
    from opensearchpy.exceptions import NotFoundError, TransportError

    try:
        answer = client.transport.perform_request("GET", "/_search/pipeline")
    except NotFoundError:
        return {}
    except TransportError as error:
        if error.status_code in (401, 403):
            return None
        raise
    return {name: judge_pipeline(definition) for name, definition in sorted(answer.items())}


def check_pipelines(
    uses: Mapping[str, PipelineUse], pipelines: Mapping[str, JudgedPipeline]
) -> list[str]:
    """One sentence for each line of `upstream.pipelines` that the cluster contradicts."""
    problems = []
    for name, use in uses.items():
        judged = pipelines.get(name)
        if judged is None:
            problems.append(
                f"upstream.pipelines: the cluster has no search pipeline {name}; remove the line"
            )
        elif use != "reranks" and (rankers := list_rankers(judged)):
            problems.append(
                f"upstream.pipelines: {name} is said to be {use}, but it has "
                f"{', '.join(rankers)}; write {write_line(name, 'reranks')}"
            )
    return problems


def check_default(
    where: str,
    name: str,
    uses: Mapping[str, PipelineUse],
    pipelines: Mapping[str, JudgedPipeline] | None,
) -> str | None:
    """The sentence about an index's default search pipeline; None if it goes with a new order.

    `where` is the beginning of the sentence: the route and the index.
    """
    use = uses.get(name)
    if use in ("keeps_order", "normalises"):
        return None
    judged = (pipelines or {}).get(name)
    if use is None and judged is not None and judged.use != "reranks":
        return (
            f"{where} has the default search pipeline {name}, which changes neither the number "
            f"nor the order of hits; write {write_line(name, judged.use)} in upstream.pipelines"
        )
    why = f" (it has {', '.join(judged.why)})" if judged and judged.why else ""
    return (
        f"{where} has the default search pipeline {name}{why}; if it ranks again, the order is no "
        "longer the sidecar's (set it to _none, or remove the route; if it does not, write "
        f"{write_line(name, 'keeps_order')} in upstream.pipelines)"
    )


def propose_lines(
    uses: Mapping[str, PipelineUse], pipelines: Mapping[str, JudgedPipeline] | None
) -> list[str]:
    """The lines of `upstream.pipelines` for pipelines of the cluster that it does not list.

    Each line of a pipeline that reranks, or may do so, ends with the processors for which it does.
    """
    if pipelines is None:
        return ["# the sidecar's account may not read the cluster's search pipelines"]
    return [
        write_line(name, judged.use) + (f"  # {', '.join(judged.why)}" if judged.why else "")
        for name, judged in pipelines.items()
        if name not in uses
    ]


def write_line(name: str, use: PipelineUse) -> str:
    """A line of `upstream.pipelines` in YAML."""
    written: str = yaml.safe_dump({name: use}, allow_unicode=True, width=10_000)
    return written.rstrip("\n")
