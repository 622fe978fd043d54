"""Measures how long a slider of the page takes over 1,000 hits: `python tools/slider_time.py`.

It opens the page in a headless Chromium, which must be installed, and gives all hits other scores
before each move, so that all of them change places. A move takes from the slider's event to the end
of the next picture, which waits for the browser's turn of 1/60 s.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from sidecar.demo.embedded import embedded_opensearch
from tests.browser.chromium import find_chromium, open_tab, running_chromium
from tests.browser.conftest import PLANS
from tests.browser.documents import load_documents
from tests.browser.test_compare_page import TITLES, link
from tests.running import running_sidecar

MOVES: Final = 15
FILLED: Final = "[...document.querySelectorAll('#sides li')].every((slot) => slot.firstChild)"
MOVE: Final = """(async () => {
  const picture = () => new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  const {shownComparison} = await import('/ui/compare.js');
  for (const group of shownComparison().b.window.groups) group.scores[0] = Math.random();
  const slider = document.getElementById('slider-weight-0');
  await picture();
  const started = performance.now();
  slider.value = slider.value === '20' ? 10 : 20;
  slider.dispatchEvent(new Event('input'));
  await picture();
  return performance.now() - started;
})()"""


async def main() -> None:
    """Serve, open, move, and print the times."""
    if find_chromium() is None:
        sys.exit("there is no Chromium; install it with: apt-get install chromium")
    async with embedded_opensearch() as url:
        await load_documents(url)
        with ExitStack() as cleanup:
            name = cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            starting = running_sidecar(Path(name), url, PLANS, {"many": "wide"})
            sidecar = await asyncio.to_thread(starting.__enter__)
            address = cleanup.enter_context(running_chromium(Path(name) / "profile"))
            async with open_tab(address) as tab:
                await tab.go(link(sidecar, index="many", size="1000", b="wide", body=TITLES))
                times = []
                for _ in range(MOVES):
                    await tab.until(f"document.querySelector('#list-b li') && {FILLED}")
                    times.append(await tab.run(MOVE))
            await asyncio.to_thread(starting.__exit__, None, None, None)
    first, *rest = times
    print(f"first move {first:.0f} ms; then median {statistics.median(rest):.0f} ms", end="")
    print(f", longest {max(rest):.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
