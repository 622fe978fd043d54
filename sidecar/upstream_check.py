"""Checks whether the configuration fits the cluster: `sidecar check --upstream`.

It uses the sidecar's own account. For each route it checks that the index exists, that its mapping
has the fields that the plan reads, that it serves as many hits as the plan's window needs, and that
it has no default search pipeline which might rank a second time. `upstream.pipelines` is compared
with the cluster's pipelines. For each Kendra index it checks
that the fields exist with suitable types, and that the key set is readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.cluster_client import open_blocking_client
from sidecar.config.kendra import KendraIndex
from sidecar.config.main_file import Config
from sidecar.config.routes import Route
from sidecar.kendra.indexes.mapping_check import check_mappings
from sidecar.opensearch.pipelines import JudgedPipeline
from sidecar.pipeline_check import check_default, check_pipelines, propose_lines, read_pipelines


def check_upstream(config: Config, folder: Path) -> list[str]:
    """Return one sentence for each problem; empty if all fits. Blocks.

    A cluster that does not answer, or an account without the necessary rights, is one sentence too.
    """
    from opensearchpy.exceptions import OpenSearchException

    uses = config.main.upstream.pipelines
    client = open_blocking_client(config.main.upstream, folder)
    try:
        client.info()
        pipelines = read_pipelines(client)
        problems = check_pipelines(uses, pipelines) if pipelines is not None else []
        problems += [
            problem
            for route in config.main.routes
            for plan_name in route.plans
            for problem in _check_route(client, route, plan_name, config, pipelines)
        ]
        kendra = config.main.apis.kendra
        for index_id, index in kendra.indexes.items() if kendra else ():
            problems += [
                f"apis.kendra.indexes.{index_id}: {problem}"
                for problem in _check_kendra_index(client, index, folder)
            ]
        return problems
    except OpenSearchException as error:
        urls = ", ".join(config.main.upstream.urls)
        return [f"{urls}: {in_words(error)}"]
    finally:
        client.close()


def propose_pipelines(config: Config, folder: Path) -> list[str]:
    """The lines that `upstream.pipelines` lacks, for the cluster's search pipelines. Blocks.

    Empty if the cluster does not answer, which `check_upstream` reports.
    """
    from opensearchpy.exceptions import OpenSearchException

    client = open_blocking_client(config.main.upstream, folder)
    try:
        return propose_lines(config.main.upstream.pipelines, read_pipelines(client))
    except OpenSearchException:
        return []
    finally:
        client.close()


def _check_kendra_index(client: Any, index: KendraIndex, folder: Path) -> list[str]:
    from sidecar.kendra.indexes.user_tokens import check_key_set

    documents = _mappings(client, index.index)
    questions = _mappings(client, index.faq.index) if index.faq else {}
    key_set = check_key_set(index.user_context.tokens, folder)
    return [*check_mappings(index, documents, questions), *([key_set] if key_set else [])]


def _mappings(client: Any, index: str) -> dict[str, Any]:
    from opensearchpy.exceptions import NotFoundError

    try:
        mappings: dict[str, Any] = client.indices.get_mapping(index=index, allow_no_indices=False)
    except NotFoundError:
        return {}
    return mappings


def _check_route(
    client: Any,
    route: Route,
    plan_name: str,
    config: Config,
    pipelines: Mapping[str, JudgedPipeline] | None,
) -> list[str]:
    from opensearchpy.exceptions import NotFoundError

    plan = config.plans[plan_name]
    uses = config.main.upstream.pipelines
    where = f"route {route.index}"
    try:
        mappings = client.indices.get_mapping(index=route.index, allow_no_indices=False)
    except NotFoundError:
        return [f"{where}: the cluster has no index or alias of this name"]
    settings = client.indices.get_settings(
        index=route.index, name="index.search.default_pipeline,index.max_result_window"
    )
    problems = []
    wanted = {*plan.document.names, *filter(None, [plan.group_by])}
    for index, mapping in sorted(mappings.items()):
        known = set(_fields(mapping["mappings"].get("properties", {})))
        problems += [
            f"{where}: index {index} has no field {name}, which plan {plan_name} reads"
            for name in sorted(wanted - known)
        ]
    for index, answer in sorted(settings.items()):
        index_settings = answer["settings"].get("index", {})
        served = int(index_settings.get("max_result_window", plan.rescore_window))
        if served < plan.rescore_window:
            problems.append(
                f"{where}: index {index} serves at most {served} hits (index.max_result_window), "
                f"fewer than the rescore_window {plan.rescore_window} of plan {plan_name}; "
                "only these hits are rescored"
            )
        pipeline = index_settings.get("search", {}).get("default_pipeline")
        if pipeline and pipeline != "_none":
            problem = check_default(f"{where}: index {index}", pipeline, uses, pipelines)
            problems += [problem] if problem else []
    return problems


def _fields(properties: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of all fields and objects in a mapping."""
    names = []
    for name, field in properties.items():
        names.append(prefix + name)
        names += _fields(field.get("properties", {}), f"{prefix}{name}.")
    return names


def in_words(error: Exception) -> str:
    """Say what went wrong in one of the sidecar's own calls, and what to do about it."""
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return (
            f"refuses the sidecar's account ({status}); set upstream.username and upstream.password"
        )
    if isinstance(status, int):
        return f"answered {status} to the sidecar's own call"
    return f"does not answer ({type(error).__name__}); is OpenSearch running there?"
