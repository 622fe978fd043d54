"""The section's defaults, its secrets, and the sample of the documentation."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from sidecar.config_rerank import RerankApis, needs_loopback

PAGE = Path(__file__).parents[2] / "docs" / "rerank-apis.md"
KEY = {"id": "AKID", "secret": "hidden"}


def test_the_samples_can_be_used_as_they_stand() -> None:
    samples = re.findall(r"```yml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    read = [RerankApis.model_validate(yaml.safe_load(s)["apis"]["rerank"]) for s in samples]
    assert [needs_loopback(settings) for settings in read] == [True, False]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"bearer": {"keys": {"a": "k"}}}, True),
        ({"bearer": {"keys": {"a": "k"}}, "tencent": None}, False),
        ({"bearer": None, "tencent": {"keys": {"a": KEY}}}, False),
        ({"bearer": None}, True),
        ({"bearer": None, "tencent": None}, False),
    ],
    ids=str,
)
def test_open_apis_need_loopback(settings: dict[str, object], expected: bool) -> None:
    assert needs_loopback(RerankApis.model_validate(settings)) is expected


def test_secrets_are_not_shown() -> None:
    settings = RerankApis.model_validate(
        {
            "bearer": {"keys": {"a": "hidden"}},
            "tencent": {"keys": {"a": {**KEY, "token": "hidden"}}},
        }
    )
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bearer": {"keys": {"a b": "k"}}},
        {"bearer": {"keys": {"a": ""}}},
        {"tencent": {"keys": {"a": {"id": "x"}}}},
        {"cosine": {"scale": 0}},
        {"plans": "fused"},
    ],
    ids=str,
)
def test_mistakes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RerankApis.model_validate(wrong)
