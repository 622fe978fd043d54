"""Programs of Debian for tests: installed ones, or unpacked into the user's cache, never installed.

The packages come with apt's own client, so its signatures are checked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and the environment that it needs."""

    path: str
    environment: Mapping[str, str]


def find_program(name: str, packages: Sequence[str]) -> Program:
    """The program `name`; `packages`: it, and the libraries that a bare Debian lacks.

    Skips the test, with the reason, where the program cannot be had.
    """
    installed = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed is not None:
        return Program(installed, os.environ)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rescore-sidecar"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / f"debian-{name}"
    with (base / f"debian-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _unpack(name, packages, folder)
    [path] = list(folder.glob(f"usr/*bin/{name}"))
    libraries = next(folder.glob("usr/lib/*-linux-gnu"), folder)
    return Program(str(path), {**os.environ, "LD_LIBRARY_PATH": str(libraries)})


def _unpack(name: str, packages: Sequence[str], folder: Path) -> None:
    downloads = folder.with_suffix(".unfinished")
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir()
    try:
        _run(["apt-get", "-q", "download", *packages], downloads)
        for file in sorted(downloads.glob("*.deb")):
            _run(["dpkg", "-x", str(file), "files"], downloads)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(downloads, ignore_errors=True)
        pytest.skip(f"{name} is not installed and cannot be downloaded: {error}")
    (downloads / "files").rename(folder)
    shutil.rmtree(downloads)


def _run(command: Sequence[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
