"""Every API's recorded exchanges, with the fake model."""

import json
from pathlib import Path

import pytest

from tests.sidecar.rerank.api import Api
from tests.sidecar.rerank.golden import FOLDER, exchange

CASES = sorted(FOLDER.glob("*.json"))


def test_there_are_cases() -> None:
    assert len(CASES) > 20


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_the_answer_is_as_recorded(file: Path, api: Api) -> None:
    case = json.loads(file.read_text(encoding="utf-8"))
    assert exchange(case["send"], api) == case["answer"]
