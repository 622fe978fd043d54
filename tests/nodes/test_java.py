"""Finding JDKs: folders laid out like real ones, and the choice among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes.java import Jdk, NotInstalled, choose_jdk, find_jdks


def _lay_out_jdk(home: Path, release: str | None, answer: str = "") -> Path:
    """A JDK with a `release` file, or else a java that answers `-version` with these words."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "javac").touch()
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
    java.chmod(0o755)
    if release is not None:
        (home / "release").write_text(release)
    return home


def test_jdks_are_found_once_by_variable_folder_and_path(tmp_path: Path) -> None:
    installed = tmp_path / "jvm"
    first = _lay_out_jdk(installed / "a", 'IMPLEMENTOR="X"\nJAVA_VERSION="17.0.15"\n')
    (installed / "also-a").symlink_to(first)
    eight = _lay_out_jdk(installed / "b", 'JAVA_VERSION="1.8.0_402"\n')
    named = _lay_out_jdk(tmp_path / "named", 'JAVA_VERSION="25"\n')
    silent = _lay_out_jdk(tmp_path / "silent", None, 'openjdk version "21.0.7" 2025-04-15')
    (installed / "runtime" / "bin").mkdir(parents=True)
    (installed / "runtime" / "bin" / "java").touch()
    environment = {
        "JAVA_HOME_25_X64": str(named),
        "JAVA_HOME": str(first),
        "JAVA_OPTS": str(tmp_path),
        "JDK11": str(tmp_path / "missing"),
        "PATH": str(silent / "bin"),
    }
    expected = [Jdk(first, 17), Jdk(named, 25), Jdk(eight, 8), Jdk(silent, 21)]
    assert find_jdks(environment, installed) == expected


def test_nothing_installed(tmp_path: Path) -> None:
    assert find_jdks({}, tmp_path / "missing") == []


def test_preference_decides_and_the_first_found_wins() -> None:
    jdks = [Jdk(Path("/a"), 17), Jdk(Path("/b"), 21), Jdk(Path("/c"), 21)]
    assert choose_jdk(jdks, (25, 21, 17)) == Jdk(Path("/b"), 21)


def test_missing_jdk_says_what_to_install() -> None:
    with pytest.raises(NotInstalled, match=r"JDK 25 or 21 is needed \(found: 17\).*JDK25"):
        choose_jdk([Jdk(Path("/a"), 17)], (25, 21))
