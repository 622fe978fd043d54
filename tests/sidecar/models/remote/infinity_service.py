"""Infinity (PyPI: infinity_emb), another project's server of models, in an environment of its own.

It needs older versions of several libraries than this project has, so it has an environment in the
cache folder. Only what is large, torch, is taken from the environment of the tests.
"""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.own_environments import python_with_packages

_WANTED = (
    "infinity_emb[server]==0.0.78",
    "sentence-transformers>=3.4,<4",
    "transformers>=4.47,<5",
    "huggingface_hub<1",
    "einops<1",
    "numpy<2",
)


def python_with_infinity() -> Path:
    """The Python of the environment, made once. Raises NotInstalled with pip's last words."""
    return python_with_packages("infinity", _WANTED)


@contextmanager
def running_infinity(models: Mapping[str, Path], log: IO[bytes]) -> Iterator[str]:
    """Serve these folders under these names on a free port; yields the URL when it answers."""
    python = python_with_infinity()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), "-W", "ignore", str(python.with_name("infinity_emb")), "v2"]
    for name, folder in models.items():
        command += ["--model-id", str(folder), "--served-model-name", name]
    command += ["--host", "127.0.0.1", "--port", str(port), "--engine", "torch", "--device", "cpu"]
    command += ["--no-bettertransformer", "--no-model-warmup"]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
        "PYTHONPATH": "",
    }
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url):
            assert process.poll() is None, "infinity_emb has ended; its log says why"
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
