"""The tools and pages for a release agree with the project.

`make release-check` tries the files themselves.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / "tools"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements() -> list[Requirement]:
    """Everything that is asked for by the package, its extras and the groups."""
    data = project()
    lines = [
        *data["project"]["dependencies"],
        *(line for lines in data["project"]["optional-dependencies"].values() for line in lines),
        *(line for lines in data["dependency-groups"].values() for line in lines),
    ]
    return [Requirement(line) for line in lines]


def test_every_requirement_is_locked_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    locked = {
        name.replace("_", "-").lower(): number
        for name, number in (line.split("==") for line in lines)
    }
    assert len(locked) == len(lines)
    for requirement in requirements():
        name = requirement.name.replace("_", "-").lower()
        assert name in locked, f"{name}: run make lock"
        assert requirement.specifier.contains(locked[name]), f"{name}: run make lock"


def test_everything_that_the_lock_resolves_is_everything_there_is() -> None:
    lock = (TOOLS / "lock.py").read_text()
    extras = re.search(r'"\.\[([\w,-]+)\]"', lock)
    assert extras
    assert set(extras[1].split(",")) == set(project()["project"]["optional-dependencies"])
    assert set(re.findall(r'"--group", "(\w+)"', lock)) == set(project()["dependency-groups"])


def test_commands_of_the_pages_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    text += (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    named = set(re.findall(r"(?:`|run: |^)make ([a-z-]+)", text, flags=re.MULTILINE))
    assert {"release-check", "sbom", "image-sbom"} <= named
    assert named <= targets
    files = re.findall(r"tools/\w+\.py", makefile)
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_continuous_integration_tries_the_files_with_their_tags() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["release"]["steps"]
    assert steps[0]["with"]["fetch-depth"] == 0
    assert {"run": "make release-check"} in steps
    # Nothing in it may write to the repository, or anywhere else.
    assert workflow["permissions"] == {"contents": "read"}
    assert "upload" not in (ROOT / ".github" / "workflows" / "ci.yml").read_text().replace(
        "nothing is uploaded", ""
    )


@pytest.fixture(scope="module")
def listed() -> dict[str, list[dict[str, str]]]:
    """What the tool lists of this machine; it is fed to Python, as in an image."""
    with (TOOLS / "image_packages.py").open() as tool:
        done = subprocess.run([sys.executable, "-"], stdin=tool, capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_python_and_debian_packages_are_listed(listed: dict[str, list[dict[str, str]]]) -> None:
    python = {package["name"].lower(): package["version"] for package in listed["python"]}
    assert python["pytest"] == version("pytest")
    debian = {package["name"]: package for package in listed["debian"]}
    if shutil.which("dpkg-query") is None:
        assert debian == {}
    else:
        assert debian["dpkg"]["version"]
        assert debian["dpkg"]["architecture"]


def test_the_list_of_an_image_is_valid_cyclonedx(
    listed: dict[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    pytest.importorskip("cyclonedx", reason="cyclonedx-bom is not installed (group release)")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    (tmp_path / "packages.json").write_text(json.dumps(listed))
    command = [sys.executable, str(TOOLS / "image_sbom.py"), str(tmp_path / "packages.json")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(printed) is None
    components = {one["purl"] for one in json.loads(printed)["components"]}
    assert f"pkg:pypi/pytest@{version('pytest')}" in components
    assert len(components) == len({tuple(sorted(p.items())) for k in listed.values() for p in k})
