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
    *("errors", "strict", "hits", "original_scores", "texts", "words", "kendra_text"),
    *("sentence_passages", "kendra_passages", "passage_methods", "fusion_methods", "plan"),
    *("documents", "groups", "passages", "lexical", "passage_selection", "scoring", "fusion"),
    *(
        "adding",
        "choosing",
        "reports",
        "sure_pages",
        "rescore",
        "relevance",
        "hit_details",
        "measures",
    ),
]
PURE_LIBRARIES = {"pydantic", "numpy", "icu4py", "Stemmer"}
NO_IO = {
    *("asyncio", "socket", "ssl", "pathlib", "os", "io", "time", "logging", "threading"),
    *("subprocess", "multiprocessing", "concurrent", "selectors", "shutil", "tempfile"),
}

# The front doors know the core and the services, never one another.
DOORS = [
    *("sidecar.opensearch", "sidecar.kendra_ranking", "sidecar.kendra", "sidecar.rerank"),
    "sidecar.page",
]
BETWEEN_DOORS = {("sidecar.kendra", "sidecar.opensearch"), ("sidecar.page", "sidecar.opensearch")}
# Kendra's rooms, then the files at its root: each imports only those before it.
KENDRA = [
    *("tables", "indexes", "query_text", "asking", "answering"),
    *("operations", "upstream_search", "feedback", "searches", "handlers", "door"),
]
# Parts that must stay usable alone: what they may import of the shell.
ALONE = {
    "sidecar.relay": {"sidecar.relay", "sidecar.config", "sidecar.metrics"},
    "sidecar.models": {
        *("sidecar.models", "sidecar.config", "sidecar.metrics", "sidecar.tracing.steps"),
        "sidecar.cores",
        "sidecar.halves_cache",
    },
    "sidecar.spans": {"sidecar.spans"},
    "sidecar.adoption": {
        *("sidecar.adoption", "sidecar.config", "sidecar.cluster_client", "sidecar.metrics"),
        "sidecar.resigning",
        *("sidecar.relay.heads", "sidecar.token_bucket"),
    },
    "sidecar.opensearch_rules": {
        *("sidecar.opensearch_rules", "sidecar.relay.heads", "sidecar.spans"),
    },
    "sidecar.kendra_plugin": {
        *("sidecar.kendra_plugin", "sidecar.config", "sidecar.event_loop.off_loop"),
        *("sidecar.opensearch_rules", "sidecar.relay", "sidecar.spans"),
    },
}
WIRING = {"app.py", "fronts.py", "cli.py", "__main__.py", "demo.py"}


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


def test_the_core_awaits_in_one_file_only() -> None:
    awaits = [
        path.name
        for path in CORE
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Await)
    ]
    assert set(awaits) == {"rescore.py"}


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


@pytest.mark.parametrize("path", [p for p in SHELL if p.parts[1] == "kendra"], ids=str)
def test_rooms_of_kendra_import_only_rooms_before_them(path: Path) -> None:
    room = path.with_suffix("").parts[2]
    assert room in {*KENDRA, "__init__"}, f"give {path} its place in KENDRA"
    for name in imports(path):
        assert name != "sidecar.kendra", f"{path}: name the file that it imports from"
        if name.startswith("sidecar.kendra."):
            other = name.split(".")[2]
            assert other == room or KENDRA.index(other) < KENDRA.index(room), (
                f"{path} imports {name}, which stands after it"
            )


@pytest.mark.parametrize("path", SHELL, ids=str)
def test_parts_that_stand_alone_import_only_what_they_may(path: Path) -> None:
    package = within(module_of(path), list(ALONE))
    if package is None:
        return
    for name in imports(path):
        assert not name.startswith("sidecar") or within(name, ALONE[package]), (
            f"{path} imports {name}"
        )


def test_packages_do_not_import_each_other_in_a_cycle() -> None:
    packages = {f"sidecar.{path.parent.name}" for path in (ROOT / "sidecar").glob("*/__init__.py")}
    arrows: dict[str, set[str]] = {package: set() for package in packages}
    for path in SHELL:
        mine = within(module_of(path), packages)
        theirs = {within(name, packages) for name in imports(path)} if mine else set()
        if mine:
            arrows[mine] |= {package for package in theirs if package not in (None, mine)}
    while leaves := {package for package in arrows if not arrows[package] & arrows.keys()}:
        arrows = {package: arrows[package] for package in arrows.keys() - leaves}
    assert not arrows, f"these packages import each other in a cycle: {sorted(arrows)}"


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


@pytest.mark.parametrize(
    "module", ["sidecar.cli", "sidecar.config_reading.config_files", "sidecar.app"]
)
def test_heavy_libraries_load_only_where_they_are_asked_for(module: str) -> None:
    heavy = "{'torch', 'sentence_transformers', 'transformers', 'faiss', 'opensearchpy'}"
    script = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_words_are_found_by_the_one_pattern_that_keeps_their_marks(path: Path) -> None:
    if path != Path("pipelines/words.py"):
        assert r'"\w+"' not in (ROOT / path).read_text(), f"{path}: see pipelines.words.WORD"


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
