"""The connector of docs/opensearch-ml-commons.md, filled in and read as ml-commons does it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.rerank.conftest import Serve

PAGE = Path(__file__).parents[3] / "docs" / "opensearch-ml-commons.md"
BLOCKS = re.findall(r"```json\n(\w+) (\S+)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
# ml-commons casts to Double: json-path reads a whole number as Integer, a long literal as
# BigDecimal, and both fail.
DOUBLE = re.compile(r"-?\d+\.\d{1,7}")


def block(path: str) -> Any:
    [text] = [body for _, target, body in BLOCKS if path in target]
    return json.loads(text)


def fill(template: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{(?:parameters|credential)\.(\w+)\}", lambda m: values[m[1]], template)


def test_every_block_is_json() -> None:
    assert len(BLOCKS) == 5
    for _, _, body in BLOCKS:
        json.loads(body)


def test_the_setting_allows_the_connectors_address() -> None:
    settings = block("_cluster/settings")["persistent"]
    [allowed] = settings["plugins.ml_commons.trusted_connector_endpoints_regex"]
    [action] = block("connectors/_create")["actions"]
    assert re.fullmatch(allowed, action["url"])


@pytest.mark.parametrize("count", [1, 3, 150])
def test_the_connector_gets_a_score_for_every_document(serve: Serve, count: int) -> None:
    connector = block("connectors/_create")
    [action] = connector["actions"]
    documents = ["", 'a "red" apple', "pear", *("red" for _ in range(count))][:count]
    values = connector["parameters"] | {
        "query": "red apple",
        "documents": json.dumps(documents),
        "top_n": str(len(documents)),
        "key": "k1",
    }
    body = fill(action["request_body"], values)
    headers = {name: fill(value, values) for name, value in action["headers"].items()}
    path = "/" + action["url"].split("/", 3)[3]
    with serve(bearer={"keys": {"cluster": "k1"}}) as api:
        answer = api.post(path, body.encode(), headers)
    assert answer.status == 200
    # connector.post_process.cohere.rerank: $.results, `index` and `relevance_score` of each.
    results = json.loads(answer.body, parse_float=str, parse_int=int)["results"]
    assert sorted(result["index"] for result in results) == list(range(len(documents)))
    for result in results:
        assert DOUBLE.fullmatch(result["relevance_score"])
