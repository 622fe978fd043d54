"""Applications in other languages: makes each runnable, once, in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.nodes.java import NotInstalled, choose_jdk, find_jdks
from tests.nodes.maven import resolve_class_path

_HERE = Path(__file__).parent
_INSTALL_SECONDS = 280
_RUN_SECONDS = 60

Command = tuple[str, ...]
"""A program with its first arguments; the URL and what the program works with, such as
an index, are added."""


def java_client() -> Command:
    """The JDK's own HTTP client. Raises `NotInstalled` without a JDK."""
    jdk = choose_jdk(find_jdks(os.environ), (21, 17, 25, 24, 23, 22, 11))
    return str(jdk.java), "-XX:TieredStopAtLevel=1", str(_HERE / "java" / "Client.java")


def js_client() -> Command:
    """opensearch-js. Raises `NotInstalled` without node and npm."""
    return _node_program("js", "client.mjs")


def kendra_js_client() -> Command:
    """The AWS SDK for JavaScript v3. Raises `NotInstalled` without node and npm."""
    return _node_program("kendra-js", "kendra.mjs")


def tencent_js_client() -> Command:
    """Tencent's SDK for Node.js. Raises `NotInstalled` without node and npm."""
    return _node_program("kendra-js", "tencent.mjs")


def go_client() -> Command:
    """opensearch-go. Raises `NotInstalled` without go."""
    return _go_program("go")


def kendra_go_client() -> Command:
    """The AWS SDK for Go v2. Raises `NotInstalled` without go."""
    return _go_program("kendra-go")


def kendra_java_client() -> Command:
    """The AWS SDK for Java v2. Raises `NotInstalled` without a JDK or Maven."""
    jdk = choose_jdk(find_jdks(os.environ), (21, 17, 25, 24, 23, 22))
    folder = _HERE / "kendra-java"
    jars = resolve_class_path("kendra-java", folder / "pom.xml", {}, jdk.home)
    path = os.pathsep.join(map(str, jars))
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    return str(jdk.java), *quick, "-cp", path, str(folder / "Kendra.java")


def _node_program(language: str, script: str) -> Command:
    node, npm = _find("node", "Node.js 18"), _find("npm", "npm")
    with _made_once(language, ("package.json", "package-lock.json")) as (folder, made):
        if not made:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / language / name, folder)
            _install([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return node, str(_HERE / language / script), str(folder)


def _go_program(language: str) -> Command:
    go = _find("go", "Go 1.22")
    with _made_once(language, ("go.mod", "go.sum", "main.go")) as (folder, made):
        if not made:
            _install([go, "build", "-o", str(folder / "client"), "."], _HERE / language)
    return (str(folder / "client"),)


def run(command: Command, url: str, *arguments: str) -> list[str]:
    """Run an application to its end; the lines that it printed."""
    result = subprocess.run(
        [*command, url, *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=_RUN_SECONDS,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout.splitlines()


def _find(program: str, name: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise NotInstalled(f"{program} is needed; install {name} or newer")
    return found


@contextmanager
def _made_once(language: str, sources: Sequence[str]) -> Iterator[tuple[Path, bool]]:
    """A folder whose name stands for these sources, and whether it is complete already."""
    digest = hashlib.sha256()
    for name in sources:
        digest.update((_HERE / language / name).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rescore-sidecar"
    folder = cache / f"client-{language}-{digest.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    complete = folder / "complete"
    # Two test runs at once would otherwise install over each other.
    with (cache / f"client-{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, complete.exists()
        complete.touch()


def _install(command: Sequence[str], folder: Path) -> None:
    result = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_INSTALL_SECONDS,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout[-4000:]}")
