"""The rooms of `sidecar/kendra/`: which may import which others."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

KENDRA = Path(__file__).parents[3] / "sidecar" / "kendra"
MAY_IMPORT = {
    "tables": set[str](),
    "answering": {"tables", "query_text", "asking", "indexes"},
}
"""By room: the other rooms that it may import. No room imports the files at the root."""

# Tables come from the text of a document alone.
PURE = {"tables"}
NO_IO = {"asyncio", "socket", "os", "io", "time", "logging", "pathlib", "subprocess"}


def imports(room: str) -> Iterator[tuple[str, str]]:
    """Each file of a room with each module that it imports."""
    for path in sorted((KENDRA / room).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path.name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path.name, node.module


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_rooms_below_them(room: str) -> None:
    rooms = {path.parent.name for path in KENDRA.glob("*/__init__.py")}
    modules = list(imports(room))
    assert modules
    for file, module in modules:
        if not module.startswith("sidecar.kendra."):
            continue
        other = module.split(".")[2]
        assert other in rooms, f"{room}/{file} imports {module}, which belongs to no room"
        assert other == room or other in MAY_IMPORT[room], f"{room}/{file} imports {module}"


@pytest.mark.parametrize("room", sorted(PURE))
def test_pure_rooms_do_no_io(room: str) -> None:
    for file, module in imports(room):
        assert module.partition(".")[0] not in NO_IO, f"{room}/{file} imports {module}"
        own = module.startswith((f"sidecar.kendra.{room}", "sidecar.bounded_cache"))
        assert own or not module.startswith("sidecar"), f"{room}/{file} imports {module}"
