// Lines between the two lists, one for each hit that both have and that is on the screen or near it
// in one of them. A thousand lines across the screen would say nothing, and take long to draw.

import {find, makeSvg} from "./dom.js";
import {nearSlots, slotAt} from "./slots.js";

let pairs = [];
let planned = false;

/** Draw these lines from now on: `{from, to, kind}` with the slots of list A and list B. */
export function setLines(newPairs) {
  pairs = newPairs;
  draw();
}

/** Draw again before the next picture, after a scroll or when cards change their height. */
export function draw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    const svg = find("lines");
    const frame = svg.getBoundingClientRect();
    if (!frame.width) return;
    // All places are read before anything is written, so the layout is computed once.
    const [listA, listB] = [find("list-a"), find("list-b")];
    const [nearA, nearB] = [nearSlots(listA, 1), nearSlots(listB, 1)];
    const shapes = pairs.filter(({from, to}) => isWithin(nearA, from) || isWithin(nearB, to))
      .map(({from, to, kind}) => [middle(slotAt(listA, from)), middle(slotAt(listB, to)), kind])
      .map(([start, end, kind]) => [start - frame.top, end - frame.top, kind]);
    const bend = frame.width / 2;
    svg.replaceChildren(...shapes.map(([start, end, kind]) => makeSvg("path", {
      class: kind,
      d: `M0 ${start}C${bend} ${start} ${bend} ${end} ${frame.width} ${end}`,
    })));
  });
}

function isWithin([first, end], place) {
  return first <= place && place < end;
}

function middle(slot) {
  const box = slot.getBoundingClientRect();
  return box.top + Math.min(box.height / 2, 24);
}
