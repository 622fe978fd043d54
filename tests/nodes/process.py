"""Runs one OpenSearch node: a Java process on a free port of 127.0.0.1.

The process lives no longer than its standard input is open (Node.java), so it ends with the test
run even when that is killed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.nodes.java import Jdk

START_SECONDS = 300
_STOP_SECONDS = 10
_LOG_TAIL_CHARACTERS = 4000
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
_SOURCE = Path(__file__).with_name("Node.java")

# The optimising compiler costs a node of a few seconds' life more than it gives: with C1 alone
# it starts in 4.2 s instead of 5.7 s. But a search for 100 hits then takes 9.5 ms instead of 3.9.
_QUICK_START = ("-XX:TieredStopAtLevel=1",)
_HEAP_MB = 512


class NodeProcess:
    """A running node; `start_process` makes it, `stop` ends it."""

    def __init__(self, addresses: str, log: Path, process: subprocess.Popen[bytes]) -> None:
        address, self.transport_address = addresses.split(" ")
        host, _, port = address.rpartition(":")
        self.host = host
        self.port = int(port)
        self.log = log
        self.pid = process.pid
        self._process = process

    def stop(self) -> None:
        """End the process and wait for it; may be called again."""
        _stop(self._process)

    def kill(self) -> None:
        """End the process as a crash does (SIGKILL) and wait for it."""
        self._process.kill()
        _stop(self._process)


def start_process(
    name: str,
    jdk: Jdk,
    class_path: Iterable[Path],
    plugins: Iterable[str],
    folder: Path,
    wait_until_usable: Callable[[NodeProcess], None],
    settings: Mapping[str, str] = _NO_SETTINGS,
    heap_mb: int = _HEAP_MB,
    *,
    optimised: bool = False,
) -> NodeProcess:
    """Start a node with its data and log in `folder`, and return when it is usable.

    `name` is the product and its release, for messages. `plugins` are class names to be found on
    the class path, beside those that the runner loads by itself; `settings` replace Node.java's.
    `optimised`: with Java's optimising compiler, as operators run it, for measurements.
    Raises RuntimeError with the log's end where the node does not start.
    """
    log = folder / "node.log"
    jars = ":".join(map(str, class_path))
    java = [
        str(jdk.java),
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        *(() if optimised else _QUICK_START),
        "-cp",
        jars,
        str(_SOURCE),
    ]
    further = [f"{setting}={value}" for setting, value in settings.items()]
    with log.open("wb") as log_file:
        process = subprocess.Popen(
            [*java, str(folder), ",".join(plugins), *further],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            # Ctrl-C is for pytest, which then stops the node after the tests that use it.
            start_new_session=True,
        )
    try:
        node = NodeProcess(_read_addresses(process), log, process)
        wait_until_usable(node)
    except BaseException as error:
        _stop(process)
        if not isinstance(error, Exception):
            raise
        tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:]
        raise RuntimeError(
            f"{name} on {jdk.java} did not start: {error}\nThe end of its log {log}:\n{tail}"
        ) from error
    return node


def _read_addresses(process: subprocess.Popen[bytes]) -> str:
    """Wait for the one line that Node.java prints: the two addresses it listens on."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    if not readable:
        raise TimeoutError(f"no address after {START_SECONDS} s")
    addresses = process.stdout.readline().decode().strip()
    if not addresses:
        raise ChildProcessError("it ended")
    return addresses


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()
