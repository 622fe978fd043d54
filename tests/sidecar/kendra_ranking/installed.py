"""Clients outside the project's environment, installed in the user's cache folder.

The AWS CLI needs another version of botocore than boto3 does, so it gets its own virtual
environment. The Go program is built once. Both are created on first use and reused by version.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AWS_CLI = "1.46.2"
GO_PROGRAM = Path(__file__).parent / "go_client"


class ClientMissing(Exception):
    """A client cannot be installed here. The message says why."""


def install_aws_cli() -> Path:
    """The `aws` program of the AWS CLI. Raises ClientMissing if PyPI cannot be reached."""
    folder = _cache_folder() / f"awscli-{AWS_CLI}"
    program = folder / "bin" / "aws"
    with _only_one("awscli"):
        # This file is created last, so an interrupted installation starts again.
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
            _run([*pip, f"awscli=={AWS_CLI}"], "the AWS CLI cannot be installed from PyPI")
            (folder / "complete").touch()
    return program


def build_go_client() -> Path:
    """The program of `go_client/`. Raises ClientMissing if Go or its modules are missing."""
    go = shutil.which("go")
    if go is None:
        raise ClientMissing("Go is needed (https://go.dev/dl, or Debian: golang)")
    recipe = hashlib.sha256()
    for file in sorted(GO_PROGRAM.iterdir()):
        recipe.update(file.read_bytes())
    program = _cache_folder() / f"kendra-ranking-go-{recipe.hexdigest()[:16]}"
    with _only_one("go"):
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
                built = Path(scratch) / "client"
                build: list[str | Path] = [go, "-C", GO_PROGRAM, "build", "-o", built, "."]
                _run(build, "the Go client does not build")
                built.rename(program)
    return program


def is_required() -> bool:
    """Whether a missing client makes the test run fail, as a missing OpenSearch does."""
    return os.environ.get("RESCORE_REQUIRE_NODES") == "1"


def _cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rescore-sidecar"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _only_one(name: str) -> Iterator[None]:
    """A lock: two test runs at once would otherwise install into the same folder."""
    with (_cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str | Path], problem: str) -> None:
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=280, env=environment
    )
    if result.returncode != 0:
        raise ClientMissing(f"{problem}: {(result.stderr or result.stdout)[-1500:]}")
