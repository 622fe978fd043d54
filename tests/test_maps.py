"""Maps do not lie: package docstrings list every file once, and pages name files that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(
    path.parent.relative_to(ROOT)
    for top in ("pipelines", "sidecar")
    for path in (ROOT / top).rglob("__init__.py")
)
NOT_YET: frozenset[str] = frozenset()
"""Packages whose docstrings still leave out files, or name some twice."""


def contents(package: Path) -> tuple[set[str], set[str]]:
    """The names of a package's files, without `__init__` and `__main__`, and of its subpackages."""
    files = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    return files, {path.parent.name for path in package.glob("*/__init__.py")}


def mentions(docstring: str, files: set[str], folders: set[str]) -> dict[str, int]:
    """How often a docstring names each file, as `name.py`, and each subpackage, as `name/`.

    If the docstring has a table whose lines are `name.py | what it is for`, only the table counts,
    so that a picture beside it may repeat the names. A path such as `sidecar/metrics.py` names a
    file of another package. A name that this package does not have counts too.
    """
    name = r"(?<![\w/.])(\w+(?:\.py\b|/(?!\w)))"
    table = re.findall(rf"^ *{name} +\| ", docstring, flags=re.MULTILINE)
    listed = table or re.findall(name, docstring)
    names = files | {f"{folder}/" for folder in folders} | set(listed)
    return {name: listed.count(name) for name in names}


def mistakes(package: Path) -> list[str]:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    files, folders = contents(package)
    found = []
    for name, count in sorted(mentions(docstring, files, folders).items()):
        exists = name in files or name.removesuffix("/") in folders
        if not exists and not (package / name).exists() and not (ROOT / name).exists():
            found.append(f"{name} does not exist")
        elif exists and count == 0:
            found.append(f"{name} is missing")
        elif exists and count > 1:
            found.append(f"{name} is named {count} times")
    return found


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_each_package_names_what_it_holds_once(package: Path) -> None:
    found = mistakes(ROOT / package)
    if str(package) in NOT_YET:
        assert found, f"{package} is complete; take it out of NOT_YET"
    else:
        assert not found, f"{package}/__init__.py: " + "; ".join(found)


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md"])
def test_pages_name_files_that_exist(page: str) -> None:
    # Names in capitals stand for a name to be chosen, as in `sidecar/commands/NAME.py`.
    code = re.findall(r"`([\w./*]+)`", (ROOT / "docs" / page).read_text())
    paths = [name for name in code if re.search(r"\.py$|/$", name) and not re.search("[A-Z]", name)]
    assert len(paths) > 10
    for path in paths:
        pattern = path.rstrip("/")
        found = any(ROOT.glob(pattern)) or any((ROOT / "sidecar").rglob(pattern))
        assert found or any((ROOT / "pipelines").rglob(pattern)), f"{page} names {path}"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A package of three files and a subpackage, without a docstring yet."""
    package = tmp_path / "room"
    (package / "inner").mkdir(parents=True)
    for name in ("one.py", "two.py", "three.py", "inner/__init__.py"):
        (package / name).touch()
    return package


def test_missing_repeated_and_unknown_names_are_seen(room: Path) -> None:
    (room / "__init__.py").write_text(
        '"""A room.\n\none.py    first\ntwo.py    second, after one.py; see `other/two.py`\n'
        'gone.py   was here once\n"""\n'
    )
    assert mistakes(room) == [
        "gone.py does not exist",
        "inner/ is missing",
        "one.py is named 2 times",
        "three.py is missing",
    ]


def test_a_picture_beside_a_table_may_repeat_names(room: Path) -> None:
    (room / "__init__.py").write_text(
        '"""A room.\n\n  one.py --> two.py --> one.py\n\n  one.py   | first\n  two.py   | second\n'
        '  two.py   | again\n  inner/   | more\n"""\n'
    )
    assert mistakes(room) == ["three.py is missing", "two.py is named 2 times"]
