"""`sidecar check --diff`: against an old folder, and against the running sidecar."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml
from click.testing import CliRunner

from sidecar.cli import main
from tests.running import WORDS, running_sidecar


def change(folder: Path, **keys: object) -> None:
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def test_what_a_reload_would_change(tmp_path: Path) -> None:
    folder, old = tmp_path / "config", tmp_path / "old"
    command = ["check", "--config", str(folder / "sidecar.yaml"), "--diff"]
    runner = CliRunner()
    with running_sidecar(folder, "http://127.0.0.1:9", {"fused": {}}, {"docs": "fused"}) as sidecar:
        shutil.copytree(folder, old)
        running = f"http://127.0.0.1:{sidecar.api.port}"
        for source in (running, str(old), str(old / "sidecar.yaml")):
            same = runner.invoke(main, [*command, source])
            assert (same.exit_code, same.output.splitlines()[0]) == (
                0,
                "a reload would change nothing",
            )
        change(folder, window_cache_s=7)
        for source in (running, str(old)):
            live = runner.invoke(main, [*command, source])
            assert live.exit_code == 0
            assert live.output.startswith(
                "changed  window_cache_s: 5.0 -> 7.0\n1 change; a reload applies it\n"
            )
        long = "/".join(["models"] * 12)
        change(folder, models={"words": {**WORDS, "source": long}}, routes=[])
        wide = runner.invoke(main, [*command, running])
        assert max(map(len, wide.output.splitlines()[:-1])) <= 80
        assert (
            'changed  models.words.source:\n         from "words"\n         to "models'
            in wide.output
        )
        change(folder, split_documents_mb=7)
        restart = runner.invoke(main, [*command, running])
        assert restart.exit_code == 1
        assert "changed  split_documents_mb: 64 -> 7; needs a restart\n" in restart.output
        assert "changes; a reload would be refused: 1 of them needs a restart" in restart.output
    nobody = runner.invoke(main, [*command, running])
    assert nobody.exit_code == 2
    assert f"--diff {running}: " in nobody.output
