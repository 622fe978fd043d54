// Fills the slots of the two lists. A slider may move a thousand cards at once: those on the screen
// and near it are placed before the next picture, the others in pieces after it. All of them are in
// the document, so that the browser's own search and screen readers find them.

import {make} from "./dom.js";

const PIECE_MS = 8; // so that a slider's next move need not wait

const filling = new Map();
let planned = false;

/** Give a list this many slots and fill each with the node of `nodeAt(place)`. */
export function fillSlots(list, count, nodeAt) {
  if (list.children.length > count) list.replaceChildren(...[...list.children].slice(0, count));
  const missing = Array.from({length: count - list.children.length}, () => make("li"));
  list.append(...missing);
  filling.set(list, {nodeAt, slots: [...list.children], isFilled: new Uint8Array(count), next: 0});
  fillNear(list);
  fillLater();
}

/** The first slot that is less than `screens` away from the screen, and the one after the last. */
export function nearSlots(list, screens) {
  const slots = filling.get(list)?.slots ?? [];
  if (!list.getClientRects().length) return [0, 0];
  const far = screens * innerHeight;
  const first = findFirst(slots, (slot) => slot.getBoundingClientRect().bottom > -far);
  const end = findFirst(slots, (slot) => slot.getBoundingClientRect().top > innerHeight + far);
  return [first, end];
}

/** The slot at a place, or undefined. */
export function slotAt(list, place) {
  return filling.get(list)?.slots[place];
}

/** Fill what has come near the screen; for when the page scrolls. */
export function fillAllNear() {
  for (const list of filling.keys()) fillNear(list);
}

function fillNear(list) {
  const state = filling.get(list);
  if (state.next === state.slots.length) return;
  const [first, end] = nearSlots(list, 0.5);
  for (let place = first; place < end; place += 1) fill(state, place);
}

function fill(state, place) {
  if (state.isFilled[place]) return;
  state.isFilled[place] = 1;
  const node = state.nodeAt(place);
  const slot = state.slots[place];
  if (slot.firstChild !== node) slot.replaceChildren(node);
}

function fillLater() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => setTimeout(fillPiece));
}

function fillPiece() {
  planned = false;
  const end = performance.now() + PIECE_MS;
  for (const state of filling.values()) {
    while (state.next < state.slots.length) {
      if (performance.now() > end) {
        fillLater();
        return;
      }
      fill(state, state.next);
      state.next += 1;
    }
  }
}

/** The place of the first slot for which this holds; it holds for all after that. */
function findFirst(slots, holds) {
  let low = 0;
  let high = slots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(slots[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}
