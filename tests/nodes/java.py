"""Finds the JDKs on this machine, so that each OpenSearch gets a Java it supports."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# JAVA_HOME, JAVA_HOME_17_X64 (GitHub's runners), JAVA17_HOME, JDK17, JDK_17_HOME
_HOME_VARIABLE = re.compile(r"JAVA_HOME(_\d+\w*)?|(JAVA|JDK)_?\d+(_HOME)?")
_VERSION = re.compile(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)')


class NotInstalled(Exception):
    """A program that the nodes need is missing; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Jdk:
    """A Java development kit: its home folder and feature release, for example 17."""

    home: Path
    major: int

    @property
    def java(self) -> Path:
        return self.home / "bin" / "java"


def find_jdks(environment: Mapping[str, str], installed: Path = Path("/usr/lib/jvm")) -> list[Jdk]:
    """List every JDK: those named by environment variables first, then `installed`, then PATH.

    A runtime without a compiler is left out, since a node is launched from its source file.
    """
    jdks: dict[Path, Jdk] = {}
    for candidate in _candidate_homes(environment, installed):
        home = candidate.resolve()
        if home in jdks or not (home / "bin" / "javac").is_file():
            continue
        major = _read_major(home)
        if major is not None:
            jdks[home] = Jdk(home, major)
    return list(jdks.values())


def choose_jdk(jdks: Iterable[Jdk], majors: Sequence[int]) -> Jdk:
    """Choose the JDK whose release stands first in `majors`; raises `NotInstalled`."""
    by_major = {jdk.major: jdk for jdk in reversed(list(jdks))}
    for major in majors:
        if major in by_major:
            return by_major[major]
    found = ", ".join(str(major) for major in sorted(by_major)) or "none"
    raise NotInstalled(
        f"a JDK {' or '.join(map(str, majors))} is needed (found: {found}); "
        f"install one and set JAVA_HOME or JDK{majors[0]} to its folder"
    )


def _candidate_homes(environment: Mapping[str, str], installed: Path) -> Iterator[Path]:
    for name, value in sorted(environment.items()):
        if value and _HOME_VARIABLE.fullmatch(name):
            yield Path(value)
    if installed.is_dir():
        yield from sorted(installed.iterdir())
    if java := shutil.which("java", path=environment.get("PATH", "")):
        yield Path(java).resolve().parents[1]


def _read_major(home: Path) -> int | None:
    """Read the release from the JDK's `release` file, or ask its java where there is none."""
    release = home / "release"
    if release.is_file():
        text = release.read_text(encoding="utf-8")
    else:
        java = subprocess.run(
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        text = java.stderr
    match = _VERSION.search(text)
    return int(match[1]) if match else None
