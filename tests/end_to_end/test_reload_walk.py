"""The walk through a reload in docs/operating.md: the commands print what the page shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.nodes.node import Node
from tests.reloads import Process, serving
from tests.running import WORDS, request

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
MAIN = {
    "listen": "127.0.0.1:0",
    "api_listen": "127.0.0.1:0",
    "models": {"words": WORDS},
    "routes": [{"index": "walk-products", "plan": "fused"}],
}
PLAN = "rescore_window: 100\ndocument: {body: body}\nstages: [{model: words}]\ndeadline_ms: 30000\n"
# What differs from run to run.
CHANGING = (
    (r"\b[0-9a-f]{16}\b", "DIGEST"),
    (r'"(age_s|at)": [\d.]+', r'"\1": N'),
    (r"\bms=[\d.]+", "ms=N"),
    (r"\d{4}-\d\d-\d\d [\d:,]+ ", ""),
)


def read_walk() -> list[tuple[str, str]]:
    """The commands of the page's section, and what they print."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("\n## Change the configuration without a restart\n")[2]
    lines = re.findall(r"^    (.*)$", section.partition("\n## ")[0], re.MULTILINE)
    parts = re.split(r"^\$ (.*)\n", "\n".join(lines) + "\n", flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def mask(text: str) -> str:
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    return " ".join(text.split())


def run(command: str, folder: Path, process: Process) -> str:
    for page_port, port in (("9201", process.proxy[1]), ("9280", process.api[1])):
        command = command.replace(f"127.0.0.1:{page_port}", f"127.0.0.1:{port}")
    sidecar = f'sidecar() {{ "{sys.executable}" -m sidecar "$@"; }}; '
    done = subprocess.run(
        ["/bin/bash", "-c", sidecar + command],
        cwd=folder,
        env=os.environ | {"PID": str(process.process.pid)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def last_reload(process: Process) -> object:
    return process.ready()["config"]["last_reload"]


def test_the_walk_on_the_page(opensearch_3: Node, tmp_path: Path) -> None:
    config = tmp_path / "config"
    (config / "plans").mkdir(parents=True)
    (config / "plans" / "fused.yaml").write_text(PLAN)
    main = {**MAIN, "upstream": {"urls": [opensearch_3.url]}}
    (config / "sidecar.yaml").write_text(yaml.safe_dump(main))
    address = (opensearch_3.host, opensearch_3.port)
    document = {"body": "a copper kettle"}
    put = request(address, "PUT", "/walk-products/_doc/1?refresh=true", document)
    assert put.status == 201, json.loads(put.body)
    walk = read_walk()
    assert len(walk) > 6
    with serving(config, log=tmp_path / "sidecar.log") as process:
        process.wait_until_ready()
        for command, expected in walk:
            before = last_reload(process)
            printed = run(command, tmp_path, process)
            for own, shown in ((f"{tmp_path}/", ""), (opensearch_3.url, "http://127.0.0.1:9200")):
                printed = printed.replace(own, shown)
            assert mask(printed) == mask(expected), f"{command}\n{printed}"
            while command.startswith("kill -HUP") and last_reload(process) == before:
                pass
