"""Asks the cluster whether the configuration fits it: `sidecar check --upstream`.

Uses the sidecar's own account. Checks that every routed index exists, that the fields which its
plan reads exist in its mapping, and that no default search pipeline would rank a second time; and
that the Kendra indexes' fields are there, of types that fit, and their key sets can be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines.plan import Plan
from sidecar.config import Config, Route, Upstream
from sidecar.config_kendra import KendraIndex
from sidecar.kendra.mapping_check import check_mappings


def open_client(upstream: Upstream, folder: Path, timeout_s: float = 10) -> Any:
    """An opensearch-py client on the sidecar's own account; the caller closes it.

    `folder`: where relative paths of the configuration start.
    """
    from opensearchpy import OpenSearch

    account: dict[str, Any] = {}
    if upstream.username:
        account = {"http_auth": (upstream.username, upstream.password)}
    ca = str(folder / upstream.tls.ca) if upstream.tls.ca else None
    tls: dict[str, Any] = (
        {"verify_certs": upstream.tls.verify, "ssl_show_warn": False, "ca_certs": ca}
        if any(urlsplit(url).scheme == "https" for url in upstream.urls)
        else {}
    )
    return OpenSearch(list(upstream.urls), timeout=timeout_s, max_retries=0, **account, **tls)


def check_upstream(config: Config, folder: Path) -> list[str]:
    """What does not fit, one sentence each; empty when all is well. Blocking.

    A cluster that does not answer, or an account without the right to look, is one sentence too.
    """
    from opensearchpy.exceptions import OpenSearchException

    client = open_client(config.main.upstream, folder)
    try:
        client.info()
        problems = [
            problem
            for route in config.main.routes
            for problem in _check_route(client, route, config.plans[route.plan])
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


def _check_kendra_index(client: Any, index: KendraIndex, folder: Path) -> list[str]:
    from sidecar.kendra.user_tokens import check_key_set

    documents = _mappings(client, index.index)
    questions = _mappings(client, index.faq.index) if index.faq else {}
    key_set = check_key_set(index.user_context.tokens, folder)
    return [*check_mappings(index, documents, questions), *([key_set] if key_set else [])]


def _mappings(client: Any, index: str) -> dict[str, Any]:
    from opensearchpy.exceptions import NotFoundError

    try:
        found: dict[str, Any] = client.indices.get_mapping(index=index, allow_no_indices=False)
    except NotFoundError:
        return {}
    return found


def _check_route(client: Any, route: Route, plan: Plan) -> list[str]:
    from opensearchpy.exceptions import NotFoundError

    where = f"route {route.index}"
    try:
        mappings = client.indices.get_mapping(index=route.index, allow_no_indices=False)
    except NotFoundError:
        return [f"{where}: the cluster has no index or alias of this name"]
    settings = client.indices.get_settings(index=route.index, name="index.search.default_pipeline")
    problems = []
    wanted = {*plan.document.names, *filter(None, [plan.group_by])}
    for index, mapping in sorted(mappings.items()):
        known = set(_fields(mapping["mappings"].get("properties", {})))
        problems += [
            f"{where}: index {index} has no field {name}, which plan {route.plan} reads"
            for name in sorted(wanted - known)
        ]
    for index, found in sorted(settings.items()):
        pipeline = found["settings"].get("index", {}).get("search", {}).get("default_pipeline")
        if pipeline and pipeline != "_none":
            problems.append(
                f"{where}: index {index} has the default search pipeline {pipeline}; if it ranks "
                "again, the order is no longer the sidecar's (set it to _none, or drop the route)"
            )
    return problems


def _fields(properties: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of all fields and objects of a mapping."""
    names = []
    for name, field in properties.items():
        names.append(prefix + name)
        names += _fields(field.get("properties", {}), f"{prefix}{name}.")
    return names


def in_words(error: Exception) -> str:
    """What went wrong in a call of the sidecar's own, and what to do about it."""
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return f"refuses the sidecar's account ({status}); set upstream.username and password"
    if isinstance(status, int):
        return f"answered {status} to the sidecar's own call"
    return f"does not answer ({type(error).__name__}); is OpenSearch running there?"
