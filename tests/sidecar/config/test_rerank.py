"""The section's defaults, its secrets, and the sample of the documentation."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from sidecar.config.rerank import RerankApis

PAGE = Path(__file__).parents[3] / "docs" / "rerank-apis.md"
KEY = {"id": "AKID", "secret": "hidden"}


def test_the_samples_can_be_used_as_they_stand() -> None:
    samples = re.findall(r"```yml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    sections = [RerankApis.model_validate(yaml.safe_load(s)["apis"]["rerank"]) for s in samples]
    assert [settings.needs_loopback for settings in sections] == [True, False]


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
    assert RerankApis.model_validate(settings).needs_loopback is expected


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
