"""Whether `_source` will contain the plan's fields."""

from typing import Any

import pytest

from sidecar.opensearch.source_filter import includes_fields

FIELDS = ("title", "meta.text")


@pytest.mark.parametrize(
    ("parameters", "body", "expected"),
    [
        ({}, {}, True),
        # the body's _source
        ({}, {"_source": True}, True),
        ({}, {"_source": False}, False),
        ({}, {"_source": None}, False),
        ({}, {"_source": "*"}, True),
        ({}, {"_source": "title"}, False),
        ({}, {"_source": ["title", "meta.text", "price"]}, True),
        ({}, {"_source": ["title", "meta"]}, True),
        ({}, {"_source": ["title", "meta.*"]}, True),
        ({}, {"_source": ["t*", "*.text"]}, True),
        ({}, {"_source": ["title.en", "meta"]}, False),
        ({}, {"_source": ["titl", "meta"]}, False),
        ({}, {"_source": ["price"]}, False),
        ({}, {"_source": []}, True),
        ({}, {"_source": {}}, True),
        ({}, {"_source": {"includes": ["title", "meta"]}}, True),
        ({}, {"_source": {"includes": "title"}}, False),
        ({}, {"_source": {"excludes": ["*_vector", "*.vector"]}}, True),
        ({}, {"_source": {"excludes": "meta"}}, False),
        ({}, {"_source": {"excludes": ["*.text"]}}, False),
        ({}, {"_source": {"includes": ["*"], "excludes": ["title"]}}, False),
        ({}, {"_source": {"something": ["*"]}}, False),
        # the URL's parameters replace all of it
        ({"_source": "true"}, {"_source": False}, True),
        ({"_source": "false"}, {"_source": True}, False),
        ({"_source": "title,meta"}, {}, True),
        ({"_source": "price"}, {}, False),
        ({"_source": ""}, {"_source": False}, True),
        ({"_source_includes": "title,meta.text"}, {"_source": False}, True),
        ({"_source": "price", "_source_includes": "title,meta.text"}, {}, True),
        ({"_source_excludes": "title"}, {}, False),
        ({"_source_excludes": "price"}, {"_source": {"excludes": ["title"]}}, True),
        # parameters that switch the source off by default
        ({}, {"stored_fields": ["price"]}, False),
        ({}, {"stored_fields": "_source"}, True),
        ({}, {"stored_fields": ["price"], "_source": True}, True),
        ({"stored_fields": "price,_source"}, {}, True),
        ({"stored_fields": "price"}, {"stored_fields": ["_source"]}, False),
        ({}, {"script_fields": {"x": {}}}, False),
        ({}, {"script_fields": {}}, True),
        ({}, {"script_fields": {"x": {}}, "_source": ["title", "meta"]}, True),
        ({}, {"fields": ["title"], "docvalue_fields": ["price"]}, True),
    ],
)
def test_fields_are_in_the_reply(
    parameters: dict[str, str], body: dict[str, Any], expected: bool
) -> None:
    assert expected == includes_fields(FIELDS, parameters, body)
