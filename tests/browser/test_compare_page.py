"""The page in a real browser: compare, why, sliders, judge, export, links, hostile documents."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

from sidecar.evaluation.judgments import read_judgments
from tests.browser.chromium import Tab, open_tab
from tests.browser.conftest import PLANS
from tests.browser.documents import HOSTILE, QUERY
from tests.running import Sidecar, running_sidecar

RANKS_B = "[...document.querySelectorAll('#list-b .hit .id')].map((e) => e.textContent)"
RANKS_IN_ORDER = """(list) => {
  const slots = [...document.querySelectorAll(`${list} > li`)];
  const ranks = slots.map((slot) => Number(slot.querySelector('.rank')?.textContent ?? NaN));
  const ids = slots.map((slot) => slot.querySelector('.id')?.textContent);
  return slots.every((slot, place) => slot.querySelector('.same-run') || (ranks[place] > 0
    && (place === 0 || !(ranks[place] <= ranks[place - 1]))))
    && new Set(ids.filter(Boolean)).size === ids.filter(Boolean).length;
}"""
BODY = '{"query": {"multi_match": {"query": "{{query}}", "fields": ["title^9", "body"]}}}'
TITLES = '{"query": {"match": {"title": "{{query}}"}}}'
# What a page for everybody has: each control has a name, and each text a contrast of 4.5 to 1.
ACCESSIBLE = """(() => {
  const faults = [];
  for (const e of document.querySelectorAll('button, input, select, textarea')) {
    const name = e.labels?.length || e.ariaLabel || e.textContent.trim();
    if (!name) faults.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  }
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.disabled) continue;
    const [one, other] = [light(getComputedStyle(e).color), light(back(e))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faults.push(`${contrast.toFixed(1)}: ${e.outerHTML.slice(0, 80)}`);
  }
  return faults;
})()"""


FOCUSED = """(() => {
  const e = document.activeElement;
  const {outlineStyle, outlineWidth} = getComputedStyle(e);
  const name = e.dataset.view || e.id || e.getAttribute('name') || e.textContent;
  return [name, outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2];
})()"""
# Searches after the first two never end, unless somebody cancels; the second one fails.
SLOW = """{
  const own = window.fetch;
  let count = 0;
  window.fetch = (url, options) => {
    if (url !== 'api/search') return own(url, options);
    count += 1;
    if (count === 2) {
      const error = {cause: 'opensearch', message: 'OpenSearch answered 500'};
      return Promise.resolve(new Response(JSON.stringify(error), {status: 502}));
    }
    if (count === 1) return own(url, options);
    return new Promise((_, reject) => options.signal.addEventListener(
      'abort', () => reject(new DOMException('cancelled', 'AbortError'))));
  };
}"""


def link(sidecar: Sidecar, **state: str) -> str:
    return f"http://{sidecar.api}/ui/#{urlencode({'index': 'docs', 'q': QUERY, **state})}"


async def test_compare_why_tune_judge_export_and_link(
    sidecar: Sidecar, tab: Tab, tmp_path: Path
) -> None:
    # By the keyboard, in the order of reading; the focus can be seen.
    await tab.go(f"http://{sidecar.api}/ui")
    controls = []
    for _ in range(11):
        await tab.press("Tab")
        control, is_seen = await tab.run(FOCUSED)
        assert is_seen, control
        controls.append(control)
    assert controls == [
        *("compare", "queries", "live", "account"),
        *("index", "q", "a", "b", "size", "Compare", "Body and fields"),
    ]

    # Compare, by the form.
    await tab.run("document.forms.search.elements.index.focus()")
    for field, text in (("index", "docs"), ("body", BODY), ("q", QUERY)):
        await tab.run(
            f"document.forms.search.elements.{field}.value = {json.dumps(text)};"
            f"document.forms.search.elements.{field}.focus()"
        )
    await tab.press("Enter")
    await tab.until("document.querySelectorAll('#list-b .hit').length")
    assert "applied; plan=words" in await tab.text("#outcome")
    assert (await tab.texts("#list-b .hit .id"))[0] == "d2"
    assert (await tab.texts("#list-a .hit .id"))[0] == "d0"
    assert "▲" in (await tab.texts("#list-b .hit .change"))[0]
    assert "red" in [text.lower() for text in await tab.texts("#list-b mark strong")]
    await tab.until("document.querySelectorAll('#lines path').length >= 2")
    assert await tab.run(ACCESSIBLE) == []

    # Why, by the keyboard.
    await tab.run("document.querySelector('#list-b .hit h3 button').focus()")
    await tab.press("Enter")
    await tab.until("document.getElementById('why').open")
    why = await tab.text("#why-content")
    for part in ("original score", "lexical evidence", "model words", "OpenSearch"):
        assert part in why
    assert await tab.run(ACCESSIBLE) == []
    await tab.press("Escape")
    await tab.until("!document.getElementById('why').open")

    # Without the model, the order is OpenSearch's; the scores are at hand, so nobody is asked.
    asked = len(tab.requests)
    await tab.run(
        "for (const [id, value] of [['weight-0', 0], ['lexical', 0]]) {"
        " const slider = document.getElementById(`slider-${id}`); slider.value = value;"
        " slider.dispatchEvent(new Event('input')) }"
    )
    await tab.until("document.querySelectorAll('#list-b .same-run').length === 1")
    assert len(tab.requests) == asked
    await tab.until("location.hash.includes('lex=0')")
    await tab.click("#write-plan")
    await tab.until("document.getElementById('plan-dialog').open")
    difference = await tab.text("#plan-difference")
    assert "-   weight: 4" in difference
    assert "+   weight: 0" in difference
    await tab.press("Escape")

    # The link has all of it.
    saved = await tab.run("location.href")
    await tab.go(saved)
    await tab.until("document.querySelectorAll('#list-b .same-run').length === 1")
    await tab.click("#tune-reset")
    await tab.until(f"({RANKS_B})[0] === 'd2'")

    # Judge by keys, in the order that is shown.
    await tab.click("#judge-start")
    await tab.click("#judge-blind")
    for key in "302":
        await tab.press(key)
    await tab.until("document.getElementById('judge-place').textContent.includes('3 are judged')")
    await tab.press("Escape")
    await tab.until("document.getElementById('figures').textContent.includes('nDCG@10')")
    names = {"trec": "writeTrec", "workbench": "writeWorkbench", "csv": "writeCsv"}
    for name, write in names.items():
        path = tmp_path / name
        path.write_text(await tab.run(f"import('/ui/judgments.js').then((m) => m.{write}())"))
        judgments = read_judgments(path)
        (grades,) = judgments.grades.values()
        assert grades["d2"] == 3
        assert sorted(grades.values()) == [0, 2, 3]
        assert judgments.by_text == (name != "trec")

    # A list of queries, the harmed ones first.
    await tab.run("document.querySelector('nav [data-view=queries]').click()")
    await tab.run(
        f"{{const f = document.forms.lists.elements;"
        f" f.queries.value = 'a\\t{QUERY}\\nb\\tred wine';"
        " f.judgments.value = 'a 0 d0 3\\nb 0 d5 1';"
        " document.querySelector('#lists button').click()}"
    )
    await tab.until(
        "document.getElementById('lists-what').textContent.startsWith('Loaded: 2 queries')"
    )
    await tab.click("#run")
    await tab.until("document.querySelectorAll('#runs tbody tr').length === 2")
    assert (await tab.texts("#runs tbody tr"))[0].startswith(QUERY)
    assert "harmed" in await tab.text("#run-figures")
    await tab.click("#runs tbody button")
    await tab.until(f"({RANKS_B})[0] === 'd2'")

    # Live.
    await tab.click("nav [data-view=live]")
    await tab.until("document.getElementById('live-content').textContent.includes('Counted')")
    assert await tab.run(ACCESSIBLE) == []


async def test_run_all_shows_how_far_it_is_and_can_be_cancelled(sidecar: Sidecar, tab: Tab) -> None:
    await tab.go(link(sidecar, view="queries"))
    # Grades outlive a reload, unless they are too many.
    lists = "{queries: [...'abcdef'].map((id) => [id, 'red shoes ' + id]), grades: {a: {d0: 1}}}"
    await tab.run(f"import('/ui/judgments.js').then((m) => m.takeLists({lists}))")
    await tab.go(link(sidecar, view="queries"))
    assert await tab.text("#lists-what") == "Loaded: 6 queries."
    assert await tab.text("#judgments-what") == "1 judgment of 1 query."

    await tab.run(SLOW)
    await tab.click("#run")
    await tab.until("document.getElementById('progress').value === 2")
    assert (await tab.text("#progress-text")).startswith("2 of 6 queries, about ")
    assert await tab.run("document.getElementById('run').disabled")
    # What has run is in the table already.
    await tab.until("document.querySelectorAll('#runs tbody tr').length === 1")
    await tab.click("#cancel")
    await tab.until("document.getElementById('message').textContent")
    assert await tab.text("#message") == "Cancelled after 2 of 6 queries."
    assert len(await tab.texts("#runs tbody tr")) == 1
    assert not await tab.run("document.getElementById('run').disabled")
    await tab.run(
        "import('/ui/judgments.js').then((m) => m.takeLists({grades: {a: Object.fromEntries("
        "Array.from({length: 250000}, (_, n) => [`document ${n}`, 1]))}}))"
    )
    await tab.click("nav [data-view=compare]")
    await tab.click("nav [data-view=queries]")
    assert "export them" in await tab.text("#judgments-what")


async def test_hostile_documents_and_a_narrow_dark_screen(sidecar: Sidecar, chromium: str) -> None:
    async with open_tab(chromium, 360, 640) as tab:
        await tab.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark"}],
        )
        await tab.go(
            link(sidecar, index="hostile", q="shoes red walks", image="image", fields="body")
        )
        await tab.until("document.querySelectorAll('#list-b li').length")
        await tab.run("document.querySelector('#list-b .same-run button')?.click()")
        await tab.until(f"document.querySelectorAll('#list-b .hit').length === {len(HOSTILE)}")
        assert await tab.run("document.title") == "Rescore Sidecar"
        assert (
            await tab.run("document.querySelectorAll('#sides :is(script, img, style)').length") == 0
        )
        assert any("<script>" in text for text in await tab.texts("#list-b h3"))
        assert max(map(len, await tab.texts("#list-b h3"))) < 400
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        assert await tab.run(ACCESSIBLE) == []

        # A thousand hits, and a slider over them.
        await tab.go(link(sidecar, index="many", size="1000", b="wide", body=TITLES))
        await tab.until("document.querySelectorAll('#list-b .hit').length > 500")
        first = await tab.run(f"({RANKS_B})[0]")
        await tab.run(
            "{const slider = document.getElementById('slider-weight-0'); slider.value = 0;"
            " slider.dispatchEvent(new Event('input'))}"
        )
        await tab.until("document.querySelectorAll('#list-b .hit').length < 500")
        assert await tab.run(f"({RANKS_B})[0]") != first
        # Back again: what is far from the screen follows, each hit once and at its place.
        await tab.click("#tune-reset")
        await tab.until(f"({RANKS_B})[0] === '{first}'")
        await tab.until("document.querySelectorAll('#list-b .hit').length > 500")
        await tab.until(f"({RANKS_IN_ORDER})('#list-b') && ({RANKS_IN_ORDER})('#list-a')")
        assert not tab.faults


async def test_a_wrong_key_and_then_the_right_one(upstream: str, tab: Tab, tmp_path: Path) -> None:
    main = {"ui": {"keys": {"team": "s3cret"}}}
    with running_sidecar(tmp_path, upstream, PLANS, {"docs": "words"}, main=main) as sidecar:
        # The page waits for the key, so it has not started.
        await tab.send("Page.navigate", url=link(sidecar))
        for key in ("wrong", "s3cret"):
            await tab.until("document.getElementById('key-dialog')?.open")
            await tab.run(
                "{const d = document.getElementById('key-dialog');"
                f" d.querySelector('input').value = '{key}'; d.querySelector('.primary').click()}}"
            )
        await tab.until("document.querySelectorAll('#list-b .hit').length")
        assert await tab.run("Object.values(localStorage).length") == 0
        assert "s3cret" not in await tab.run("location.href + document.cookie")
