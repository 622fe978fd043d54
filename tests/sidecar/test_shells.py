"""Completion in shells, as docs/operating.md says to switch it on, and `--version`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sidecar.cli import main

DOCUMENTED = (Path(__file__).parent.parent.parent / "docs" / "operating.md").read_text()


def sidecar(*arguments: str, **environment: str) -> str:
    # Click names the variable after the program, and this one is not started by its name.
    code = "from sidecar.cli import main; main(prog_name='sidecar')"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def suggestions(typed: str) -> set[str]:
    """What bash is offered for the last word of a command line."""
    words = typed.split(" ")
    printed = sidecar(
        _SIDECAR_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1)
    )
    return {line.partition(",")[2] for line in printed.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_its_script(shell: str) -> None:
    assert f"_SIDECAR_COMPLETE={shell}_source sidecar" in DOCUMENTED
    script = sidecar(_SIDECAR_COMPLETE=f"{shell}_source")
    assert f"_SIDECAR_COMPLETE={shell}_complete" in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed; its script is not parsed")
    subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_commands_options_and_choices_are_offered() -> None:
    assert suggestions("sidecar ") == set(main.commands)
    assert suggestions("sidecar mod") == {"models"}
    assert suggestions("sidecar models ") == {"list", "prepare"}
    assert "--upstream" in suggestions("sidecar check --")
    assert suggestions("sidecar schema ") == {"main", "plan"}


def test_the_version_is_the_packages_own() -> None:
    assert sidecar("--version").split()[-1] == version("rescore-sidecar")
