"""A headless Chromium, driven over its DevTools protocol with aiohttp's WebSocket.

It has no clock: whoever waits, waits for a condition inside the page.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0", "--mute-audio"),
    "--disable-breakpad",
)
# Chromium ends with the tests, also if these are killed; its own processes end with it.
_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
# Far beyond what any machine needs: only a condition that never comes true gets there.
_PATIENCE_S = 120
_UNTIL = """new Promise((resolve, reject) => {
  const check = () => {
    try {
      const value = (%s);
      if (value) resolve(value); else setTimeout(check, 20);
    } catch (error) { reject(error); }
  };
  check();
})"""


def find_chromium() -> str | None:
    """The path of an installed Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running_chromium(folder: Path) -> Iterator[str]:
    """Run one with an empty profile in `folder`; yields the address of its DevTools socket."""
    path = find_chromium()
    assert path
    # Standard error is read to the line with the address; the rest goes where nobody reads it.
    prefix = _WITH_PARENT if shutil.which(_WITH_PARENT[0]) else ()
    process = subprocess.Popen(
        [*prefix, path, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    assert process.stderr
    try:
        for line in process.stderr:
            text = line.decode(errors="replace")
            if "DevTools listening on " in text:
                break
        else:
            raise AssertionError("Chromium ended before it listened")
        drain = subprocess.Popen(
            ["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL, close_fds=True
        )
        yield text.partition("DevTools listening on ")[2].strip()
        drain.kill()
        drain.wait()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


class Tab:
    """One tab with a profile of its own. `faults`: errors and CSP violations that it reported."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._session: str | None = None
        self.faults: list[str] = []
        self.requests: list[str] = []

    async def read(self) -> None:
        """Read what the browser says, to its end."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = json.loads(message.data)
            waiting = self._waiting.pop(said.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
            self._note(said.get("method"), said.get("params", {}))

    def _note(self, method: str | None, values: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            self.faults.append(json.dumps(details)[:2000])
        elif method == "Log.entryAdded" and values["entry"]["source"] in ("security", "javascript"):
            self.faults.append(json.dumps(values["entry"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])

    async def send(self, method: str, **values: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        command: dict[str, Any] = {"id": number, "method": method, "params": values}
        if self._session:
            command["sessionId"] = self._session
        await self._socket.send_json(command)
        said = await asyncio.wait_for(self._waiting[number], _PATIENCE_S)
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, width: int, height: int) -> None:
        """Open the tab."""
        context = (await self.send("Target.createBrowserContext"))["browserContextId"]
        target = await self.send(
            "Target.createTarget",
            url="about:blank",
            browserContextId=context,
            width=width,
            height=height,
        )
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            await self.send(f"{domain}.enable")

    async def go(self, url: str) -> None:
        """Load an address, and wait until the page has started."""
        await self.send("Page.navigate", url="about:blank")
        await self.send("Page.navigate", url=url)
        await self.until("document.querySelector('main')?.getAttribute('aria-busy') === 'false'")

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        result = await self.send(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in result, json.dumps(result["exceptionDetails"])[:2000]
        return result["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until an expression is true in the page; returns its value."""
        try:
            return await self.run(_UNTIL % condition)
        except TimeoutError:
            shown = await self.run("document.getElementById('message')?.textContent")
            raise AssertionError(f"never true: {condition}; the page says {shown!r}") from None

    async def text(self, selector: str) -> str:
        """The text of the first element."""
        found = await self.run(
            f"document.querySelector({json.dumps(selector)})?.textContent ?? null"
        )
        assert found is not None, f"there is no {selector}"
        return str(found)

    async def texts(self, selector: str) -> list[str]:
        """The texts of all elements."""
        quoted = json.dumps(selector)
        found = await self.run(
            f"[...document.querySelectorAll({quoted})].map((e) => e.textContent)"
        )
        return [str(text) for text in found]

    async def click(self, selector: str) -> None:
        """Click the first element, as a script does."""
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def press(self, key: str) -> None:
        """Press and release a key, as a user does."""
        values = {"key": key, "text": key if len(key) == 1 else ""}
        codes = {"Escape": 27, "Enter": 13, "Tab": 9, "ArrowRight": 39}
        if key in codes:
            values = {"key": key, "code": key, "windowsVirtualKeyCode": str(codes[key])}
            typed: dict[str, Any] = {**values, "windowsVirtualKeyCode": codes[key]}
        else:
            typed = dict(values)
        if key == "Enter":
            typed["text"] = "\r"
        await self.send("Input.dispatchKeyEvent", type="keyDown", **typed)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **typed)

    async def picture(self) -> bytes:
        """The visible part of the page as PNG."""
        return b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def open_tab(address: str, width: int = 1280, height: int = 900) -> AsyncIterator[Tab]:
    """A tab of a running Chromium, whose DevTools socket is at `address`."""
    async with (
        ClientSession() as session,
        session.ws_connect(address, max_msg_size=64 << 20) as socket,
    ):
        tab = Tab(socket)
        reading = asyncio.get_running_loop().create_task(tab.read())
        try:
            await tab.open(width, height)
            yield tab
        finally:
            reading.cancel()
