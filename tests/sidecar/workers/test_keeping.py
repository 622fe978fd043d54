"""How the parent keeps its workers, with small programs in their place."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.workers import parent as parent_module
from sidecar.workers.parent import MOST_FAILURES, Parent

# The template, and a worker, which tells its parent its state as `ParentLink` does.
_START = """
import os, pathlib, signal, socket, sys, time
from sidecar.workers.sharing import read_part
from sidecar.workers.template import fork_workers, take_signals
folder = pathlib.Path(sys.argv[1])
with (folder / "templates").open("a") as file:
    file.write(f"{{os.getpid()}}\\n")
def load():
    {load}
part, _ = fork_workers(read_part(os.environ), load)
control = socket.socket(fileno=part.control)
with (folder / f"starts-{{part.number}}{{'-early' if part.early else ''}}").open("a") as file:
    file.write("x")
with (folder / "secrets").open("a") as file:
    file.write(os.environ["RESCORE_SIDECAR_SECRET"] + os.environ["PYTHONHASHSEED"] + "\\n")
"""
_SERVE = """
signal.signal(signal.SIGHUP, lambda *_: (folder / f"hup-{part.number}").touch())
take_signals()
control.send(b"listening\\n" if part.early else b"listening\\nready\\n")
control.recv(1)
"""
_FAIL = "sys.exit(3)"
_FAIL_UNLESS_EARLY = "part.early or sys.exit(3)"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_module, "FIRST_PAUSE_S", 0.001)


def make(
    folder: Path, program: str, count: int = 2, load: str = "pass"
) -> tuple[Parent, asyncio.Event]:
    ready = asyncio.Event()
    command = [sys.executable, "-c", _START.format(load=load) + program, str(folder)]
    return Parent(command, count, (), (), 0.1, lambda: None, ready.set), ready


def starts(folder: Path, number: int | str) -> int:
    file = folder / f"starts-{number}"
    return len(file.read_text()) if file.exists() else 0


async def until(condition: Callable[[], bool]) -> None:
    def wait() -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    await asyncio.to_thread(wait)


async def test_a_worker_that_never_starts_stops_the_whole_with_its_status(tmp_path: Path) -> None:
    parent, ready = make(tmp_path, _FAIL_UNLESS_EARLY + _SERVE)
    assert await parent.run() == 3
    assert starts(tmp_path, 1) == MOST_FAILURES
    assert starts(tmp_path, 0) == 0  # it waits for the other one
    assert starts(tmp_path, "0-early") == 1
    assert not ready.is_set()


async def test_a_mistake_at_the_first_start_is_said_once(tmp_path: Path) -> None:
    parent, _ = make(tmp_path, "sys.exit(2)")
    assert await parent.run() == 2
    assert starts(tmp_path, "0-early") == 1
    assert starts(tmp_path, 0) == 0
    assert starts(tmp_path, 1) <= 1


async def test_models_that_cannot_be_loaded_stop_the_whole(tmp_path: Path) -> None:
    parent, ready = make(tmp_path, _SERVE, load="sys.exit(2)")
    assert await parent.run() == 2
    assert len((tmp_path / "templates").read_text().splitlines()) == 1
    assert not ready.is_set()


async def test_a_template_that_crashes_is_tried_again(tmp_path: Path) -> None:
    parent, _ = make(tmp_path, _SERVE, load="os.abort()")
    assert await parent.run() == 1
    assert len((tmp_path / "templates").read_text().splitlines()) == MOST_FAILURES
    assert starts(tmp_path, "0-early") == 1


async def test_workers_that_serve_outlive_one_that_cannot_start(tmp_path: Path) -> None:
    parent, _ = make(tmp_path, f"if part.number == 2: {_FAIL}{_SERVE}", count=3)
    running = asyncio.get_running_loop().create_task(parent.run())
    await until(lambda: starts(tmp_path, 2) > MOST_FAILURES)
    assert not running.done()
    parent.stop()
    assert await running == 0
    assert starts(tmp_path, 0) == starts(tmp_path, 1) == 1


async def test_a_worker_that_was_killed_is_forked_again(tmp_path: Path) -> None:
    write = "(folder / f'pid-{part.number}').write_text(str(os.getpid()))\n"
    parent, ready = make(tmp_path, write + _SERVE)
    running = asyncio.get_running_loop().create_task(parent.run())
    async with asyncio.timeout(60):
        await ready.wait()
    os.kill(int((tmp_path / "pid-1").read_text()), signal.SIGKILL)
    await until(lambda: starts(tmp_path, 1) == 2)
    parent.stop()
    assert await running == 0
    assert len((tmp_path / "templates").read_text().splitlines()) == 1


async def test_workers_outlive_their_template(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write = "(folder / f'pid-{part.number}').write_text(str(os.getpid()))\n"
    parent, ready = make(tmp_path, write + _SERVE)
    running = asyncio.get_running_loop().create_task(parent.run())
    async with asyncio.timeout(60):
        await ready.wait()
    [template] = (tmp_path / "templates").read_text().splitlines()
    pids = [int((tmp_path / f"pid-{number}").read_text()) for number in range(2)]
    os.kill(int(template), signal.SIGKILL)
    await until(lambda: len((tmp_path / "templates").read_text().splitlines()) == 2)
    assert starts(tmp_path, 0) == starts(tmp_path, 1) == 1
    # The one whose parent is gone is replaced by one of the new template.
    os.kill(pids[1], signal.SIGKILL)
    await until(lambda: starts(tmp_path, 1) == 2)
    assert "worker 1 ended with status unknown" in caplog.text
    parent.stop()
    assert await running == 0
    assert starts(tmp_path, 0) == 1


async def test_a_signal_reaches_a_worker_when_it_handles_it(tmp_path: Path) -> None:
    wait = "\nwhile not (folder / 'go').exists(): time.sleep(0.01)\n"
    parent, ready = make(tmp_path, wait + _SERVE, count=1)
    running = asyncio.get_running_loop().create_task(parent.run())
    await until((tmp_path / "starts-0-early").exists)
    parent.signal_all(signal.SIGHUP)  # by default it would end the process
    (tmp_path / "go").touch()
    await until((tmp_path / "hup-0").exists)
    async with asyncio.timeout(60):
        await ready.wait()
    parent.stop()
    assert await running == 0
    assert starts(tmp_path, 0) == 1


async def test_a_stop_while_models_load_ends_all(tmp_path: Path) -> None:
    parent, _ = make(tmp_path, _SERVE, load="(folder / 'loads').touch(); time.sleep(600)")
    running = asyncio.get_running_loop().create_task(parent.run())
    await until(lambda: (tmp_path / "loads").exists() and starts(tmp_path, "0-early") == 1)
    parent.stop()
    async with asyncio.timeout(60):
        assert await running == 0


async def test_workers_have_one_secret_and_one_hash_seed(tmp_path: Path) -> None:
    parent, ready = make(tmp_path, _SERVE, count=3)
    running = asyncio.get_running_loop().create_task(parent.run())
    async with asyncio.timeout(60):
        await ready.wait()
    parent.stop()
    await running
    lines = await asyncio.to_thread(lambda: (tmp_path / "secrets").read_text().splitlines())
    assert len(lines) == 4
    assert len(set(lines)) == 1
    assert len(lines[0]) > 64
