"""Draws the panels of the dashboard for docs/pictures/: `python tools/dashboard_picture.py URL`.

URL is a Prometheus that scrapes a running sidecar. It evaluates the dashboard's own expressions;
this draws them in a headless Chromium, which must be installed. It is not Grafana, and the picture
says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.browser.chromium import find_chromium, open_tab, running_chromium

ROOT: Final = Path(__file__).parent.parent
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "rescore-sidecar.json"
PICTURE: Final = ROOT / "docs" / "pictures" / "dashboard.png"
COLORS: Final = "#1d5494 #13612f #9a2c1c #5b3a9e #c08a1e #00798c #5a6673 #d1495b".split()
WIDTH, HEIGHT, PANELS = 560, 110, 14
_POINTS: Final = 120
_UNITS: Final = {"bytes": (1e-6, " MB"), "s": (1e3, " ms"), "percentunit": (100, " %")}
_STYLE: Final = """body { margin: 0; padding: 14px; width: 1190px; overflow: hidden;
font: 13px system-ui; color: #17202a; background: #f3f5f8;
display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
polyline { fill: none; stroke-width: 1.5; }
h1, p { grid-column: 1 / -1; margin: 0; font-size: 17px; } p { font-size: 13px; color: #4a5866; }
section { background: #fff; border: 1px solid #d5dce3; border-radius: 6px; padding: 8px 10px; }
h2 { margin: 0 0 4px; font-size: 13px; } span { margin-right: 12px; white-space: nowrap; }
div { font-size: 11px; line-height: 15px; height: 30px; overflow: hidden; }"""

Points = Sequence[tuple[float, float]]
Line = tuple[str, Points]


def main() -> None:
    """Evaluate, draw, and write the picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("prometheus", metavar="URL")
    options.add_argument("--minutes", type=float, default=30)
    arguments = options.parse_args()
    if find_chromium() is None:
        sys.exit("there is no Chromium; install it with: apt-get install chromium")
    end = time.time()
    start = end - 60 * arguments.minutes
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    charts = [one for one in panels if one["type"] == "timeseries"][:PANELS]
    drawn = [
        draw_panel(panel, read_lines(arguments.prometheus, panel, start, end), start, end)
        for panel in charts
    ]
    page = (
        f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><h1>Rescore Sidecar</h1>"
        f"<p>{arguments.minutes:g} minutes. The first {len(drawn)} panels of "
        "deploy/grafana/rescore-sidecar.json, evaluated by Prometheus and drawn by "
        f"tools/dashboard_picture.py; Grafana has a look of its own.</p>{''.join(drawn)}"
    )
    asyncio.run(take_picture(page))


def read_lines(url: str, panel: dict[str, Any], start: float, end: float) -> list[Line]:
    """What a panel shows: the name of each line, and its points of time and value."""
    lines: list[Line] = []
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        step = (end - start) / _POINTS
        values = urlencode({"query": query, "start": start, "end": end, "step": step})
        with urlopen(f"{url}/api/v1/query_range?{values}", timeout=60) as answer:
            found = json.load(answer)["data"]["result"]
        for one in found:
            name = name_line(target.get("legendFormat", ""), one["metric"])
            points = [(float(at), float(value)) for at, value in one["values"]]
            lines.append((name, [point for point in points if point[1] == point[1]]))
    return [line for line in lines if line[1]]


def name_line(legend: str, labels: dict[str, str]) -> str:
    """The legend with the labels' values in the places of their names."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend)


def draw_panel(panel: dict[str, Any], lines: Sequence[Line], start: float, end: float) -> str:
    """A panel as HTML: title, chart, and the names of its lines."""
    unit = panel["fieldConfig"]["defaults"].get("unit", "")
    factor, suffix = _UNITS.get(unit, (1, "/s" if unit == "reqps" else ""))
    values = [value for _, points in lines for _, value in points]
    top = max(values, default=0)
    paths, names = [], []
    for place, (name, points) in enumerate(lines):
        color = COLORS[place % len(COLORS)]
        for piece in cut_at_gaps(points, 1.5 * (end - start) / _POINTS):
            corners = " ".join(
                f"{WIDTH * (at - start) / (end - start):.1f},"
                f"{HEIGHT * (1 - 0.95 * value / (top or 1)):.1f}"
                for at, value in piece
            )
            paths.append(f'<polyline points="{corners}" stroke="{color}"/>')
        names.append(f'<span style="color:{color}">━ {escape(name)}</span>')
    grid = f'<path d="M0 {HEIGHT * 0.05:.1f}H{WIDTH}M0 {HEIGHT}H{WIDTH}" stroke="#d5dce3"/>'
    return (
        f"<section><h2>{escape(panel['title'])} (up to {write_number(factor * top)}{suffix})</h2>"
        f'<svg width="{WIDTH}" height="{HEIGHT}">{grid}{"".join(paths)}</svg>'
        f"<div>{''.join(names) or 'nothing in this time'}</div></section>"
    )


def cut_at_gaps(points: Points, longest_s: float) -> list[Points]:
    """The pieces of a line that has no value for longer than this between them."""
    starts = [
        place
        for place, (at, _) in enumerate(points)
        if place == 0 or at - points[place - 1][0] > longest_s
    ]
    return [points[one:other] for one, other in pairwise([*starts, len(points)])]


def write_number(value: float) -> str:
    """Three digits or more."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


async def take_picture(page: str) -> None:
    """Show the page and write its picture."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        path = Path(name) / "page.html"
        path.write_text(page, encoding="utf-8")
        with running_chromium(Path(name) / "profile") as address:
            async with open_tab(address, 1220, 700) as tab:
                await tab.send("Page.navigate", url=path.as_uri())
                await tab.until("document.readyState === 'complete' && document.querySelector('p')")
                height = await tab.run("document.body.scrollHeight")
                screen = {"width": 1220, "height": height, "deviceScaleFactor": 1}
                await tab.send("Emulation.setDeviceMetricsOverride", mobile=False, **screen)
                content = await tab.picture()
    PICTURE.write_bytes(content)
    print(f"{PICTURE.name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
