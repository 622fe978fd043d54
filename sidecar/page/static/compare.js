// The comparison of one search: two orders side by side, and what the sliders make of the second.

import {call} from "./api.js";
import {describeChange, keyOf, makeCard, placeCard} from "./cards.js";
import {find, make, number, say, show, signed} from "./dom.js";
import {CAN_FUSE, fuseWindow} from "./fusion.js";
import {gradesFor} from "./judgments.js";
import {draw, setLines} from "./lines.js";
import {ndcg, overlap, rankBiasedOverlap} from "./measures.js";
import {fillAllNear, fillSlots} from "./slots.js";
import {openWhy} from "./why.js";

const LEAST_RUN = 3; // hits that keep their places are shown as one line from here on

let current = null;

/** Both answers of the comparison that is shown, or null. */
export function shownComparison() {
  return current;
}

/** The search that the page sends for one order. */
export function writeSearch(form, plan, body, parts) {
  const names = (text) => text.split(",").map((name) => name.trim()).filter(Boolean);
  return {
    index: form.index,
    body,
    plan: plan || null,
    size: Number(form.size),
    patient: form.wait === "1",
    parts,
    shown: {title: names(form.title), fields: names(form.fields), image: form.image || null},
  };
}

/** Search with both orders and show them. Raises PageError. */
export async function compare(form, body, signal) {
  say("Searching …");
  // One after the other, so that the times can be compared.
  const a = await call("search", writeSearch(form, form.a, body, "all"), signal);
  const b = await call("search", writeSearch(form, form.b, body, "all"), signal);
  current = {
    form, a, b,
    fused: null,
    opened: new Set(),
    cards: {a: new Map(), b: new Map()},
  };
  find("head-a").textContent = form.a ? `A: plan ${form.a}` : "A: OpenSearch alone";
  find("head-b").textContent = form.b ? `B: plan ${form.b}` : "B: OpenSearch alone";
  find("list-a").replaceChildren();
  find("list-b").replaceChildren();
  showOutcome();
  show(find("result"), true);
  say(a.hits.length || b.hits.length ? "" : "The search matches nothing.");
  render();
  return current;
}

/** Fuse order B again with these settings; null takes the product's own order. */
export function tuneTo(settings) {
  const window = current?.b.window;
  if (!window || !CAN_FUSE.includes(window.method)) return;
  current.fused = settings === null ? null : fuseWindow(window, settings);
  render();
}

/** The hits of an order, in that order, as many as the user asked for. */
export function listHits(answer, fused) {
  if (!answer.window) return answer.hits;
  const ranking = fused?.ranking ?? answer.window.ranking;
  const rescored = ranking.map((position) => answer.window.hits[position]);
  // Behind the window, the hits keep OpenSearch's order.
  return [...rescored, ...answer.hits.slice(ranking.length)].slice(0, answer.hits.length);
}

/** The figures of two lists of ids: how alike they are, and with grades, how good. */
export function describeLists(idsA, idsB, grades) {
  const figures = [
    ["overlap@10", number(overlap(idsA, idsB), 2)],
    ["rank-biased overlap", number(rankBiasedOverlap(idsA, idsB), 2)],
  ];
  if (grades) {
    const [before, after] = [ndcg(grades, idsA), ndcg(grades, idsB)];
    figures.push(["nDCG@10 A", number(before)], ["B", number(after)]);
    figures.push(["gain", signed(after - before)]);
  }
  return figures;
}

export function fillFigures(list, figures) {
  list.replaceChildren(...figures.map(([name, text]) => make(
    "div", {},
    make("dt", {}, name),
    make("dd", {class: name === "gain" ? {"+": "good", "-": "bad"}[text[0]] : null}, text),
  )));
}

function showOutcome() {
  const lines = [["A", current.a], ["B", current.b]].flatMap(([name, answer]) => {
    const times = answer.steps.map((step) => `${step.name} ${step.ms.toFixed(1)} ms`).join(", ");
    const {outcome} = answer;
    return [
      make(
        "p", {}, make("strong", {}, `${name}: `), `${outcome ? outcome.header : "OpenSearch alone"} `,
        make("span", {class: "times"}, `(${times})`),
      ),
      outcome?.meaning ? make("p", {class: "meaning"}, outcome.meaning) : null,
      outcome?.fix ? make("p", {class: "fix"}, `What to do: ${outcome.fix}`) : null,
    ];
  });
  find("outcome").replaceChildren(...lines.filter(Boolean));
}

function render() {
  const {a, b, fused, opened} = current;
  const hitsB = listHits(b, fused);
  const hitsA = listHits(a, null);
  const keysA = hitsA.map(keyOf);
  const keysB = hitsB.map(keyOf);
  const rankA = new Map(keysA.map((key, place) => [key, place + 1]));
  const rankB = new Map(keysB.map((key, place) => [key, place + 1]));
  const known = new Map((b.window?.hits ?? []).map((hit, position) => [keyOf(hit), position]));
  const runs = findRuns(keysA, keysB);
  const grades = gradesFor(current.form.q);

  const lists = {a: {hits: hitsA, keys: keysA}, b: {hits: hitsB, keys: keysB}};
  const slots = {a: new Map(), b: new Map()};
  for (const [side, {hits, keys}] of Object.entries(lists)) {
    const places = listPlaces(keys, runs, opened);
    places.forEach((place, slot) => slots[side].set(keys[place], slot));
    const nodeAt = (slot) => {
      const place = places[slot];
      const key = keys[place];
      if (isRun(runs, opened, place, key)) return makeRun(runs.get(place), key);
      const entry = cardOf(side, key, hits[place], known.get(key));
      const origin = !current.form.a && known.has(key) ? known.get(key) + 1 : undefined;
      const change = describeChange(rankA.get(key), rankB.get(key), origin);
      placeCard(entry, place + 1, change, grades?.[hits[place].id]);
      return entry.card;
    };
    fillSlots(find(`list-${side}`), places.length, nodeAt);
  }
  setLines(keysB.filter((key, place) => slots.a.has(key) && slots.b.has(key)
    && !isRun(runs, opened, place, key)).map((key) => ({
    from: slots.a.get(key),
    to: slots.b.get(key),
    kind: describeChange(rankA.get(key), rankB.get(key)).kind,
  })));
  const ids = (hits) => hits.map((hit) => hit.id);
  fillFigures(find("figures"), describeLists(ids(hitsA), ids(hitsB), grades));
}

/** Whether a run that begins at this place is shown as one line. */
function isRun(runs, opened, place, key) {
  return runs.has(place) && !opened.has(key);
}

/** The place of each hit that has a slot: all but those within a run, which shows its first. */
function listPlaces(keys, runs, opened) {
  const places = [];
  for (let place = 0; place < keys.length; place += 1) {
    places.push(place);
    if (isRun(runs, opened, place, keys[place])) place += runs.get(place) - 1;
  }
  return places;
}

function cardOf(side, key, hit, position) {
  const cards = current.cards[side];
  if (!cards.has(key)) {
    const window = current.b.window;
    const full = position === undefined ? hit : window.hits[position];
    // Only a hit whose order was computed here has a reason.
    const open = position === undefined ? null : () => openWhy(current, position);
    cards.set(key, makeCard(full.title === undefined ? hit : full, open));
  }
  return cards.get(key);
}

/** Where runs of hits with the same place in both lists begin, and how long they are. */
function findRuns(keysA, keysB) {
  const runs = new Map();
  for (let start = 0; start < keysB.length;) {
    let end = start;
    while (end < keysB.length && keysA[end] === keysB[end]) end += 1;
    if (end - start >= LEAST_RUN) runs.set(start, end - start);
    start = Math.max(end, start + 1);
  }
  return runs;
}

function makeRun(count, key) {
  const open = () => {
    current.opened.add(key);
    render();
  };
  return make(
    "div", {class: "same-run"},
    make("button", {type: "button", click: open}, `${count} hits keep their places; show them`),
  );
}

/** Watch everything that moves the cards. */
export function watchLists() {
  const observer = new ResizeObserver(draw);
  observer.observe(find("list-a"));
  observer.observe(find("list-b"));
  addEventListener("resize", draw);
  addEventListener("scroll", () => {
    fillAllNear();
    draw();
  }, {passive: true});
  for (const button of document.querySelectorAll("#sides-choice button")) {
    button.addEventListener("click", () => {
      find("sides").dataset.side = button.dataset.side;
      for (const other of document.querySelectorAll("#sides-choice button")) {
        other.setAttribute("aria-pressed", `${other === button}`);
      }
    });
  }
}

/** Draw the figures again, after a judgment has changed. */
export function renderAgain() {
  if (current) render();
}
