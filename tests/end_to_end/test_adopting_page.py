"""The commands of docs/adopting.md, with its configuration, print what the page says.

Each section gets a sidecar of its own, with the plans of the sections before it. Ports of the page
are replaced by those of the test.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.nodes.node import Node
from tests.running import request, running_sidecar

PAGE = Path(__file__).parents[2] / "docs" / "adopting.md"
WAIT_S = 60.0

_BLOCK = re.compile(r"^```(yaml)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MS = re.compile(r'(ms[=":]+)[0-9.]+')
_LATER = ("/metrics", "shadow.jsonl", "ubi_queries")
"""What only shows the results of earlier commands, so that it may be asked again until they are
there."""


@pytest.fixture(scope="module")
def node(opensearch_3: Node) -> Iterator[Node]:
    yield opensearch_3
    for index in ("products", "ubi_queries"):
        request((opensearch_3.host, opensearch_3.port), "DELETE", f"/{index}")


def read_commands(block: str) -> list[tuple[str, str]]:
    """Each command of a block, with what it prints."""
    found = []
    for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = one.splitlines()
        end = next(n for n, line in enumerate(lines, 1) if not _goes_on(lines, n))
        found.append(("\n".join(lines[:end]), "\n".join(lines[end:])))
    return found


def _goes_on(lines: list[str], behind: int) -> bool:
    """Whether the line after the first `behind` lines belongs to the command: it is indented."""
    return behind < len(lines) and lines[behind].startswith("    ") and behind > 0


def run(command: str, ports: dict[str, str], folder: Path) -> str:
    for old, new in ports.items():
        command = command.replace(old, new)
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout.replace("\r", "").rstrip("\n")


def check(command: str, expected: str, ports: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + WAIT_S
    while True:
        printed = run(command, ports, folder)
        if _MS.sub(r"\1_", printed) == _MS.sub(r"\1_", expected):
            return
        again = any(word in command for word in _LATER) and time.monotonic() < end
        assert again, f"$ {command}\n{printed}"
        time.sleep(0.05)


def test_the_page_prints_what_it_says(node: Node, tmp_path: Path) -> None:
    plans: dict[str, dict[str, Any]] = {}
    number = 0
    for section in re.split(r"^###? ", PAGE.read_text(), flags=re.MULTILINE):
        main: dict[str, Any] = {}
        commands = []
        for kind, block in _BLOCK.findall(section):
            if not kind:
                commands += read_commands(block)
                continue
            name = block.partition("\n")[0].removeprefix("# ")
            if name == "sidecar.yaml":
                main |= yaml.safe_load(block)
            else:
                plans[Path(name).stem] = {"deadline_ms": 20_000, **yaml.safe_load(block)}
        main.pop("upstream", None)
        if not commands:
            continue
        number += 1
        folder = tmp_path / str(number)
        with running_sidecar(folder, node.url, plans, {}, main=main) as running:
            ports = {
                "localhost:9200": f"{node.host}:{node.port}",
                "localhost:9201": str(running.proxy),
                "localhost:9280": str(running.api),
            }
            for command, expected in commands:
                check(command, expected, ports, folder)
    assert number == 6
