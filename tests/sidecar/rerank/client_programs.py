"""Other people's client libraries, each set in an environment of its own in the cache folder.

They are large and do not agree with one another on versions, so the project's own environment
stays without them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "clients"


class NotInstalled(Exception):
    """A client library or a toolchain is missing; the message says what to install."""


def cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rescore-sidecar"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def python_with(name: str) -> Path:
    """The Python of an environment with what `clients/NAME.txt` lists; made once.

    Raises NotInstalled with pip's last words where that fails.
    """
    wanted = FOLDER / f"{name}.txt"
    recipe = f"{sys.version}\n{wanted.read_text(encoding='utf-8')}"
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    folder = cache_folder() / f"rerank-{name}-{digest}"
    done = folder / "done"
    # Two test runs at once would otherwise install over each other.
    with (cache_folder() / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            venv.create(folder, clear=True, with_pip=True)
            pip: list[str | Path] = [
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-compile",
                "-r",
                wanted,
            ]
            ran = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=280)
            if ran.returncode != 0:
                raise NotInstalled(f"pip could not install {wanted.name}: {ran.stderr[-2000:]}")
            done.touch()
    return folder / "bin" / "python"


def build_go(folder: Path, program: Path) -> None:
    """Compile the Go program in `folder`; raises NotInstalled without Go or its modules."""
    go = shutil.which("go")
    if go is None:
        raise NotInstalled("Go is needed for its SDK's test; install it (Debian: golang)")
    ran = subprocess.run(
        [go, "build", "-o", program, "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    if ran.returncode != 0:
        raise NotInstalled(f"the Go program was not built: {ran.stderr[-2000:]}")


class ClientProgram:
    """A running `clients/NAME.py`: a line of JSON in, a line of JSON out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **call: Any) -> Any:
        """Let it make one call; raises AssertionError when it ended instead of answering."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client program ended; its errors are on stderr"
        return json.loads(line)


@contextlib.contextmanager
def running_client(name: str) -> Iterator[ClientProgram]:
    """Run `clients/NAME.py` with the libraries of `clients/NAME.txt`."""
    command = [str(python_with(name)), "-W", "ignore", str(FOLDER / f"{name}.py")]
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        yield ClientProgram(process)
        assert process.stdin
        process.stdin.close()
