"""Clients that do not belong into the project's environment, kept in the user's cache folder.

The AWS CLI pins another botocore than boto3's, so it gets a virtual environment of its own; the
Go program is built once. Both are made on first use and found again by their versions.
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
    """A client cannot be installed here; the message says why."""


def install_aws_cli() -> Path:
    """The `aws` program of the AWS CLI; raises ClientMissing where PyPI is out of reach."""
    folder = _cache_folder() / f"awscli-{AWS_CLI}"
    program = folder / "bin" / "aws"
    with _only_one("awscli"):
        # Made last, so that an interrupted installation is begun again.
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
            _run([*pip, f"awscli=={AWS_CLI}"], "the AWS CLI cannot be installed from PyPI")
            (folder / "complete").touch()
    return program


def build_go_client() -> Path:
    """The program of `go_client/`; raises ClientMissing without Go, or without its modules."""
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
                build = [go, "-C", GO_PROGRAM, "build", "-o", built, "."]
                _run(build, "the Go client does not build")
                built.rename(program)
    return program


def is_required() -> bool:
    """Whether a missing client fails the run, as a missing OpenSearch does."""
    return os.environ.get("RESCORE_REQUIRE_NODES") == "1"


def _cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rescore-sidecar"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _only_one(name: str) -> Iterator[None]:
    """Two test runs at once would otherwise install into each other's folder."""
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
