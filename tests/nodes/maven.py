"""Fetches OpenSearch from Maven Central and remembers the class path.

Jars stay in Maven's own repository (~/.m2). The class path is kept in the user's cache folder
under a name that changes with the pom and the versions, so Maven runs once for each. What is
published as an archive is unpacked beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.nodes.java import NotInstalled


def resolve_class_path(
    name: str, pom: Path, versions: Mapping[str, str], java_home: Path
) -> list[Path]:
    """Return the dependencies of `pom`, whose properties `versions` sets.

    `name` is the product and its release, for messages and for the file in the cache folder.
    Raises `NotInstalled` without Maven, and RuntimeError with Maven's output where it fails.
    """
    definitions = [f"-D{key}={version}" for key, version in versions.items()]
    recipe = "\n".join([pom.read_text(encoding="utf-8"), *definitions])
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    folder = _cache_folder()
    kept = folder / f"{name.lower().replace(' ', '-')}-{digest}.classpath"

    # Two test runs at once would otherwise download the same jars over each other.
    with (folder / "maven.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(kept):
            _run_maven(name, pom, [*definitions, f"-Dmdep.outputFile={kept}"], java_home)
    return _read_class_path(kept)


def unpack(archive: Path) -> Path:
    """Unpack a released zip, once, into the cache folder; returns the folder made of it.

    Its name stands for its content, since a release on Maven Central never changes.
    """
    unpacked = _cache_folder() / archive.stem
    if not unpacked.is_dir():
        with tempfile.TemporaryDirectory(dir=unpacked.parent) as scratch:
            whole = Path(scratch) / archive.stem
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(whole)
            try:
                # Complete or absent, whatever another test run or an interruption does meanwhile.
                whole.rename(unpacked)
            except OSError:
                if not unpacked.is_dir():
                    raise
    return unpacked


def _cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rescore-sidecar"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read_class_path(kept: Path) -> list[Path]:
    return [Path(jar) for jar in kept.read_text(encoding="utf-8").split(":")]


def _is_complete(kept: Path) -> bool:
    """Whether the class path is there, and with it every jar: ~/.m2 may have been emptied."""
    return kept.is_file() and all(jar.is_file() for jar in _read_class_path(kept))


def _run_maven(name: str, pom: Path, definitions: list[str], java_home: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotInstalled("Maven is needed to fetch OpenSearch; install it (Debian: maven)")
    result = subprocess.run(
        [maven, "-q", "-B", "-f", pom, "dependency:build-classpath", *definitions],
        env={**os.environ, "JAVA_HOME": str(java_home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=280,
    )
    if result.returncode != 0:
        raise RuntimeError(
            f"Maven could not fetch {name}; it needs Maven Central, or a mirror "
            f"in ~/.m2/settings.xml. Its output:\n{result.stdout[-4000:]}"
        )
