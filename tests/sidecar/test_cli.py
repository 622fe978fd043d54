"""The command line as a person meets it: a process, its output, its exit status."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import request

MAIN = """\
listen: 127.0.0.1:0
api_listen: 127.0.0.1:0
upstream: {{urls: ["http://127.0.0.1:{port}"]}}
models:
  words: {{kind: bi-encoder, source: words, backend: fake}}
routes:
  - {{index: docs, plan: fused}}
"""
PLAN = """\
document: {title: title, body: body}
stages:
  - {model: words}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sidecar.yaml").write_text(MAIN.format(port=9))
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "fused.yaml").write_text(PLAN)
    return tmp_path


def sidecar(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidecar", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def change(folder: Path, old: str, new: str, file: str = "sidecar.yaml") -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def unknown_key(folder: Path) -> str:
    change(folder, "routes:", "rotues: []\nroutes:")
    return r"sidecar\.yaml:6: rotues: unknown key; did you mean routes\?"


def missing_model(folder: Path) -> str:
    change(folder, "model: words", "model: gone", "plans/fused.yaml")
    return r"fused\.yaml:3: stages\[0\]\.model: the main file has no model gone \(it has: words\)"


def bad_weight(folder: Path) -> str:
    change(folder, "stages:", "fusion: {weight: -1}\nstages:", "plans/fused.yaml")
    return r"fused\.yaml:2: fusion\.weight: should be greater than or equal to 0, not -1"


def absent_plan(folder: Path) -> str:
    change(folder, "plan: fused", "plan: other")
    return r"sidecar\.yaml:7: routes\[0\]\.plan: there is no plan other \(there are: fused\)"


def not_yaml(folder: Path) -> str:
    change(folder, "routes:", "routes: [}")
    return r"sidecar\.yaml:6: is not YAML: .+"


def unreadable_file(folder: Path) -> str:
    (folder / "plans" / "fused.yaml").unlink()
    (folder / "plans" / "fused.yaml").mkdir()
    return r"fused\.yaml: cannot be read: Is a directory"


def unknown_backend(folder: Path) -> str:
    change(folder, "backend: fake", "backend: abacus")
    return r"sidecar\.yaml:5: models\.words\.backend: must be .+, not 'abacus'"


def folder_without_model(folder: Path) -> str:
    (folder / "weights").mkdir()
    change(folder, "source: words, backend: fake", "source: ./weights")
    return r"sidecar\.yaml:5: models\.words\.source: .+"


def package_without_model(folder: Path) -> str:
    change(folder, "source: words, backend: fake", "source: 'package:click'")
    return r"sidecar\.yaml:5: models\.words\.source: .+"


MISTAKES = [
    *(unknown_key, missing_model, bad_weight, absent_plan, not_yaml, unreadable_file),
    *(unknown_backend, folder_without_model, package_without_model),
]


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize("make", MISTAKES, ids=lambda make: make.__name__)
def test_a_mistake_is_one_clear_line_and_exit_2(
    folder: Path, make: Callable[[Path], str], command: str
) -> None:
    expected = make(folder)
    done = sidecar(command, "--config", str(folder / "sidecar.yaml"))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert re.search(expected, line), line


def test_two_mistakes_are_two_lines(folder: Path) -> None:
    first, second = unknown_key(folder), bad_weight(folder)
    done = sidecar("check", "--config", str(folder / "sidecar.yaml"))
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert re.search(second, lines[0])
    assert re.search(first, lines[1])


@pytest.mark.parametrize("command", ["check", "models list", "explain --index x --query y"])
def test_commands_warn_of_an_old_key_once(folder: Path, command: str) -> None:
    change(folder, "api_listen:", "api:")
    done = sidecar(*command.split(), "--config", str(folder / "sidecar.yaml"))
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        f"warning: {folder}/sidecar.yaml:2: api: is now called api_listen; "
        "the old key works in this release only"
    ]


@pytest.mark.parametrize("key", ["listen", "api_listen"])
def test_a_port_in_use_is_one_clear_line_and_exit_2(folder: Path, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        main = folder / "sidecar.yaml"
        line = rf"(?m)^{key}: 127\.0\.0\.1:0$"
        main.write_text(re.sub(line, f"{key}: 127.0.0.1:{port}", main.read_text()))
        done = sidecar("serve", "--config", str(folder / "sidecar.yaml"))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        f"change {key} in the configuration"
    ]


@pytest.mark.parametrize("option", ["--port", "--api-port"])
def test_a_port_in_use_names_the_demos_option(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": "0", "--api-port": "0", option: str(port)}
        done = sidecar("demo", "--once", *(word for pair in ports.items() for word in pair))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another {option}"
    )


def test_a_configuration_without_mistakes_is_said_to_be_so(folder: Path) -> None:
    done = sidecar("check", "--config", str(folder / "sidecar.yaml"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (f"{folder / 'sidecar.yaml'}: no mistakes (1 model, 1 plan, 1 route)\n")


def test_check_upstream_says_that_nobody_answers(folder: Path) -> None:
    done = sidecar("check", "--upstream", "--config", str(folder / "sidecar.yaml"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("http://127.0.0.1:9: does not answer")


@pytest.mark.parametrize(
    "command",
    [[], ["serve"], ["check"], ["demo"], ["evaluate"], ["explain"], ["tune"]],
    ids=" ".join,
)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    done = sidecar(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Example: sidecar " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["check", "--nonsense"], ["demo", "--port", "99999"]]
)
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    done = sidecar(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, tuple[str, int]]]]:
    command = [sys.executable, "-m", "sidecar", "serve", "--config", str(folder / "sidecar.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    addresses = {}
    try:
        for line in process.stdout:
            if match := re.match(r"(proxy|api) +([\d.]+):(\d+) ", line):
                addresses[match[1]] = (match[2], int(match[3]))
            if line == "ready\n":
                break
        yield process, addresses
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_is_and_ends_on_a_signal(folder: Path, number: signal.Signals) -> None:
    with serving(folder) as (process, addresses):
        healthy = request(addresses["api"], "GET", "/healthz")
        down = request(addresses["proxy"], "GET", "/")
        process.send_signal(number)
        assert process.wait(20) == 0
        assert (healthy.status, down.status) == (200, 502)


def test_a_request_in_flight_is_finished_after_sigterm(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        change(folder, ':9"', f':{upstream.getsockname()[1]}"')
        with serving(folder) as (process, addresses):
            client = socket.create_connection(addresses["proxy"], timeout=20)
            with client:
                client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
                node, _ = upstream.accept()
                with node:
                    assert node.recv(65536).startswith(b"GET /slow HTTP/1.1\r\n")
                    process.send_signal(signal.SIGTERM)
                    # Draining has begun when the listener refuses.
                    while True:
                        try:
                            socket.create_connection(addresses["proxy"], timeout=5).close()
                        except ConnectionRefusedError:
                            break
                        except ConnectionResetError:
                            continue  # it was accepted by the system alone, on the way down
                    node.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
                    answer = b""
                    while data := client.recv(65536):
                        answer += data
            assert process.wait(20) == 0
            assert answer == (
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nhi"
            )
