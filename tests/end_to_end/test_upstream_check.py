"""`sidecar check --upstream` about an index that serves fewer hits than the plan's window has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from opensearchpy import OpenSearch

from sidecar.config_reading.config_files import read_config
from sidecar.upstream_check import check_upstream
from tests.nodes.node import Node
from tests.running import WORDS


@pytest.mark.parametrize(
    ("served", "problem"),
    [
        (
            60,
            "route checked: index checked serves at most 60 hits (index.max_result_window), fewer "
            "than the rescore_window 100 of plan words; only these hits are rescored",
        ),
        (100, None),
        (None, None),
    ],
)
def test_a_smaller_result_window_is_told(
    opensearch: Node, tmp_path: Path, served: int | None, problem: str | None
) -> None:
    (tmp_path / "plans").mkdir()
    plan = {"rescore_window": 100, "document": {"body": "body"}, "stages": [{"model": "words"}]}
    (tmp_path / "plans" / "words.yaml").write_text(yaml.safe_dump(plan))
    main = {
        "upstream": {"urls": [opensearch.url]},
        "models": {"words": WORDS},
        "routes": [{"index": "checked", "plan": "words"}],
    }
    (tmp_path / "sidecar.yaml").write_text(yaml.safe_dump(main))
    settings = {} if served is None else {"max_result_window": served}
    with OpenSearch(opensearch.url) as client:
        mappings = {"properties": {"body": {"type": "text"}}}
        client.indices.create(index="checked", body={"settings": settings, "mappings": mappings})
        try:
            problems = check_upstream(read_config(tmp_path / "sidecar.yaml", {}), tmp_path)
        finally:
            client.indices.delete(index="checked")
    assert problems == ([] if problem is None else [problem])
