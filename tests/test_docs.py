"""Documentation that can be wrong is a test: the reference, the YAML samples, the links."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from pipelines.plan import Plan
from sidecar.config.main_file import MainFile

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_reference_is_what_the_code_says() -> None:
    # In a process of its own: click keeps a command's help option from its first use in a process,
    # and a test that ran before may have used it without the group.
    written = subprocess.run(
        [sys.executable, ROOT / "tools" / "write_reference.py", "--print"],
        capture_output=True,
        text=True,
        check=True,
    )
    page_text = (ROOT / "docs" / "reference.md").read_text()
    assert written.stdout == page_text, "run: python tools/write_reference.py"


def yaml_samples() -> list[tuple[str, str]]:
    return [
        (f"{page.name}#{number}", block)
        for page in PAGES
        for number, block in enumerate(
            re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL), 1
        )
    ]


@pytest.mark.parametrize(("name", "sample"), yaml_samples())
def test_yaml_samples_can_be_used_as_they_stand(name: str, sample: str) -> None:
    data = yaml.safe_load(sample)
    (Plan if "stages" in data else MainFile).model_validate(data)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_changelog_begins_with_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0].startswith("Unreleased")


def test_the_readme_names_each_extra_once() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = re.findall(r"^\| `rescore-sidecar\[([\w-]+)\]`", (ROOT / "README.md").read_text(), re.M)
    assert sorted(named) == sorted(extras)
