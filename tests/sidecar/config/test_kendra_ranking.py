"""The settings of the Kendra Intelligent Ranking API."""

import pytest
from pydantic import ValidationError

from sidecar.config.kendra_ranking import KendraRanking

KEY = {"id": "KEY", "secret": "hidden-1"}


@pytest.mark.parametrize(
    ("settings", "loopback"),
    [
        ({}, True),
        ({"access_keys": [KEY]}, False),
        ({"bearer_tokens": ["hidden-2"]}, False),
    ],
)
def test_without_credentials_it_stays_on_loopback(
    settings: dict[str, object], loopback: bool
) -> None:
    assert KendraRanking.model_validate(settings).needs_loopback is loopback


def test_secrets_are_not_shown() -> None:
    settings = KendraRanking.model_validate({"access_keys": [KEY], "bearer_tokens": ["hidden-2"]})
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"auto_plan": "too-short"},
        {"auto_plan": "-" * 36},
        {"account": "12"},
        {"region": "EU"},
        {"access_keys": [{"id": "a/b", "secret": "s"}]},
        {"access_keys": [{"id": "a", "secret": ""}]},
        {"bearer_tokens": [""]},
        {"unknown": 1},
    ],
    ids=str,
)
def test_mistakes_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KendraRanking.model_validate(settings)
