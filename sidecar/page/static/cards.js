// A hit as a card: rank, change, title, fields, image, and the best passage.

import {make} from "./dom.js";

/** What two hits have in common if they are the same document. */
export function keyOf(hit) {
  return `${hit.index}\u0000${hit.id}`;
}

/** The card of a hit; `open` is called when the user asks why. */
export function makeCard(hit, open) {
  const rank = make("span", {class: "rank"});
  const grade = make("span", {class: "grade"});
  const change = make("span", {class: "change", role: "img"});
  const title = make("button", {type: "button", dir: "auto", click: open}, titleOf(hit));
  const card = make(
    "div", {class: "hit"},
    make("h3", {}, rank, open ? title : make("span", {dir: "auto"}, titleOf(hit)), change, grade),
    ...makeContent(hit),
  );
  return {card, rank, change, grade, placed: {}};
}

export function titleOf(hit) {
  return hit.title || hit.id;
}

/** Everything below the title. Without a passage, the fields stand for it. */
export function makeContent(hit) {
  return [
    hit.title ? make("div", {class: "id"}, hit.id) : null,
    hit.image ? make("img", {src: hit.image, alt: "", loading: "lazy", referrerpolicy: "no-referrer"}) : null,
    ...(hit.fields ?? []).map(([name, text]) => make(
      "p", {dir: "auto"}, make("span", {class: "around"}, `${name}: `), text,
    )),
    hit.passage ? makePassage(hit.passage) : null,
  ];
}

function makePassage(passage) {
  return make(
    "p", {dir: "auto", class: "passage"},
    make("span", {class: "around"}, passage.before),
    make("mark", {}, ...makePieces(passage.pieces)),
    make("span", {class: "around"}, passage.after),
  );
}

/** A passage's pieces, the query's words in bold. */
export function makePieces(pieces) {
  return pieces.map(([text, marked]) => (marked ? make("strong", {}, text) : text));
}

/** Write rank, change and judgment on a card. `change` has a kind, a short text, and words. */
export function placeCard(entry, rank, change, grade) {
  // A slider moves a thousand cards at once, so only what has changed is written.
  const before = entry.placed;
  entry.placed = {rank, grade, ...change};
  if (before.grade !== grade) entry.grade.textContent = grade === undefined ? "" : `judged ${grade}`;
  if (before.rank !== rank) entry.rank.textContent = rank;
  if (before.kind !== change.kind) {
    entry.card.className = `hit ${change.kind}`;
    entry.change.className = `change ${change.kind}`;
  }
  if (before.words !== change.words) {
    entry.change.textContent = change.text;
    entry.change.setAttribute("aria-label", change.words);
  }
}

/** How a hit moved: `before` and `after` are ranks from 1, or undefined outside the list. */
export function describeChange(before, after, place) {
  if (before === undefined) {
    const words = place ? `new on the page, from place ${place}` : "new on the page";
    return {kind: "new", text: place ? `new, was ${place}` : "new", words};
  }
  if (after === undefined) return {kind: "gone", text: "gone", words: "not in order B's list"};
  const by = before - after;
  if (by === 0) return {kind: "same", text: "=", words: "same place"};
  const places = `${Math.abs(by)} ${Math.abs(by) === 1 ? "place" : "places"}`;
  return by > 0
    ? {kind: "up", text: `▲ ${by}`, words: `up ${places}`}
    : {kind: "down", text: `▼ ${-by}`, words: `down ${places}`};
}
