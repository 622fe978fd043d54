"""Makes the pictures of the page in docs/pictures/: `python tools/screenshots.py`.

It serves the demo's collection and opens the page in a headless Chromium, which must be installed.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from sidecar.app import Application
from sidecar.demo.collection import SAMPLE, read_collection
from sidecar.demo.demo import build_config, offer_collection
from sidecar.demo.embedded import embedded_opensearch
from sidecar.demo.load import load_collection
from sidecar.page.links import write_link
from tests.browser.chromium import Tab, find_chromium, open_tab, running_chromium

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
LARGEST = 200_000
WIDTH, HEIGHT = 1280, 880
# Query 183 of SciFact: its relevant document is the fourth hit of OpenSearch alone.
QUERY = "Bone marrow cells contribute to adult macrophage compartments."


async def main() -> None:
    """Serve, open, and write each picture. Exits with a message if one is too large."""
    if find_chromium() is None:
        sys.exit("there is no Chromium; install it with: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    collection = read_collection(SAMPLE)
    async with AsyncExitStack() as cleanup:
        url = await cleanup.enter_async_context(embedded_opensearch())
        config = build_config(url, 0, 0)
        app = Application(config, Path.cwd(), collection=offer_collection(collection))
        cleanup.push_async_callback(app.stop, 1.0)
        await app.start()
        await load_collection(url, collection, lambda: None)
        await app.load_models()
        profile = cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        # Starting Chromium blocks for a moment; nobody else is served here.
        address = cleanup.enter_context(running_chromium(Path(profile)))
        link = write_link(app.api_address, q=QUERY)
        async with open_tab(address, WIDTH, HEIGHT) as tab:
            # The second search has the times of a sidecar that has read the documents.
            await _open(tab, link)
            await _open(tab, link)
            await _write(tab, "compare.png")
            await tab.click("#list-b .hit h3 button")
            await _write(tab, "why.png")
        async with open_tab(address, 390, 1100) as tab:
            dark = [{"name": "prefers-color-scheme", "value": "dark"}]
            await tab.send("Emulation.setEmulatedMedia", features=dark)
            await _open(tab, link)
            await _write(tab, "narrow-dark.png")


async def _open(tab: Tab, link: str) -> None:
    await tab.go(link)
    await tab.until("document.querySelectorAll('#list-b .hit').length")
    # So that more hits can be seen.
    await tab.run("document.getElementById('tune').open = false")
    # The lines are drawn before the next picture.
    await tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def _write(tab: Tab, name: str) -> None:
    content = await tab.picture()
    if len(content) > LARGEST:
        sys.exit(f"{name} has {len(content)} bytes, more than {LARGEST}")
    (FOLDER / name).write_bytes(content)
    print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    asyncio.run(main())
