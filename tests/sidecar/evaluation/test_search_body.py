import json
from pathlib import Path

import pytest

from pipelines.plan import DocumentFields, Plan, Stage
from sidecar.evaluation.files import BadFile
from sidecar.evaluation.search_body import plain_template, read_template, search_body

PLAN = Plan(
    document=DocumentFields(title=("name",), body=("text", "more.text")),
    group_by="shelf",
    stages=(Stage(model="m"),),
)


def test_the_plain_search_is_on_the_plans_fields() -> None:
    assert search_body(plain_template(PLAN), 'a "b" {{query}}', 7) == {
        "query": {
            "multi_match": {
                "query": 'a "b" {{query}}',
                "fields": ["name", "text", "more.text"],
            }
        },
        "size": 7,
    }


def test_the_users_own_search_is_filled_in_and_asks_for_the_first_hits(tmp_path: Path) -> None:
    template = {
        "from": 30,
        "size": 3,
        "query": {"bool": {"should": [{"match": {"a": "{{query}}"}}, {"term": {"b": 1}}]}},
        "suggest": {"text": "so {{query}}!"},
    }
    (tmp_path / "body.json").write_text(json.dumps(template))

    assert search_body(read_template(tmp_path / "body.json"), "x", 10) == {
        "size": 10,
        "query": {"bool": {"should": [{"match": {"a": "x"}}, {"term": {"b": 1}}]}},
        "suggest": {"text": "so x!"},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"query": {"match": {"a": "b"}}}', "has no {{query}} in a string"),
        ('{"query":\n {"match": {"a": {{query}}}}}', ":2: is not JSON"),
        ('["{{query}}"]', "must be an object"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "body.json").write_text(text)
    with pytest.raises(BadFile) as refused:
        read_template(tmp_path / "body.json")
    assert message in str(refused.value)
