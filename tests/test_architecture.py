"""The house rules: who may import whom, how long a file may be, which names are banned."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT)
    for top in ("pipelines", "sidecar")
    for path in (ROOT / top).rglob("*.py")
)
CORE = [path for path in FILES if path.parts[0] == "pipelines"]
SHELL = [path for path in FILES if path.parts[0] == "sidecar"]

# Each file of the core imports only files named before it.
FLOW = [
    *("errors", "plan", "hits", "documents", "groups", "kendra_text", "words"),
    *("passages", "lexical", "passage_selection", "scoring", "fusion", "rescore", "measures"),
]
PURE_LIBRARIES = {"pydantic", "numpy", "icu4py"}
NO_IO = {
    *("asyncio", "socket", "ssl", "pathlib", "os", "io", "time", "logging", "threading"),
    *("subprocess", "multiprocessing", "concurrent", "selectors", "shutil", "tempfile"),
}

# The front doors know the core and the services, never one another.
DOORS = ["sidecar.opensearch", "sidecar.kendra_ranking", "sidecar.kendra", "sidecar.rerank"]
DOORS += ["sidecar.web"]
BETWEEN_DOORS = {("sidecar.kendra", "sidecar.opensearch")}
# Parts that must stay usable alone: what they may import of the shell.
ALONE = {
    "sidecar.relay": {"sidecar.relay", "sidecar.config", "sidecar.metrics"},
    "sidecar.models": {"sidecar.models", "sidecar.config", "sidecar.metrics"},
}
WIRING = {"app.py", "cli.py", "__main__.py", "demo.py"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: absolute imports only"
            assert node.module
            yield node.module


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def within(module: str, packages: list[str] | set[str]) -> str | None:
    return next((p for p in packages if module == p or module.startswith(p + ".")), None)


def test_there_are_files_to_check() -> None:
    assert len(CORE) > 10
    assert len(SHELL) > 20


@pytest.mark.parametrize("path", CORE, ids=str)
def test_the_core_imports_only_what_stands_before_it(path: Path) -> None:
    assert path.stem in {*FLOW, "__init__"}, f"give {path} its place in FLOW"
    for name in imports(path):
        top, _, rest = name.partition(".")
        allowed = {"pipelines"} | PURE_LIBRARIES | (set(sys.stdlib_module_names) - NO_IO)
        assert top in allowed, f"{path} imports {name}"
        if top == "pipelines":
            assert FLOW.index(rest.split(".")[0]) < FLOW.index(path.stem), (
                f"{path} imports {name}, which is downstream of it"
            )


def test_the_core_awaits_in_one_place_only() -> None:
    awaits = [
        path.name
        for path in CORE
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Await)
    ]
    assert awaits == ["rescore.py"]


@pytest.mark.parametrize("path", SHELL, ids=str)
def test_doors_do_not_know_each_other_and_nobody_knows_the_wiring(path: Path) -> None:
    mine = within(module_of(path), DOORS)
    for name in imports(path):
        theirs = within(name, DOORS)
        assert not mine or not theirs or mine == theirs or (mine, theirs) in BETWEEN_DOORS, (
            f"{path} imports {name}"
        )
        is_wiring = path.name in WIRING or within(module_of(path), ["sidecar.commands"])
        assert name not in ("sidecar.app", "sidecar.cli") or is_wiring, (
            f"{path} imports the wiring, {name}"
        )


@pytest.mark.parametrize("path", SHELL, ids=str)
def test_relay_and_models_stand_alone(path: Path) -> None:
    package = within(module_of(path), list(ALONE))
    if package is None:
        return
    for name in imports(path):
        assert not name.startswith("sidecar") or within(name, ALONE[package]), (
            f"{path} imports {name}"
        )


@pytest.mark.parametrize("path", FILES, ids=str)
def test_files_are_short_well_named_and_introduce_themselves(path: Path) -> None:
    text = (ROOT / path).read_text()
    lines = text.count("\n")
    assert lines <= 400, f"{path} has {lines} lines"
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "core", "base_utils"}
    if path.name != "__main__.py":
        assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it is for"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_module_keeps_mutable_state(path: Path) -> None:
    for node in ast.parse((ROOT / path).read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        mutable = isinstance(getattr(node, "value", None), (ast.List, ast.ListComp, ast.Set))
        assert not (mutable and names and names != ["__all__"]), (
            f"{path}: {names} is a list or set at module level; make it a tuple or frozenset"
        )
        assert not isinstance(node, ast.Global), f"{path}: a global statement"


@pytest.mark.parametrize("module", ["sidecar.cli", "sidecar.config_files", "sidecar.app"])
def test_heavy_libraries_load_only_where_they_are_asked_for(module: str) -> None:
    heavy = "{'torch', 'sentence_transformers', 'transformers', 'faiss', 'opensearchpy'}"
    script = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
