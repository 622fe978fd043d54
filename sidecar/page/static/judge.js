// Judges the hits of a comparison one after the other, by default without their ranks.

import {keyOf, makeContent, titleOf} from "./cards.js";
import {listHits, renderAgain, shownComparison} from "./compare.js";
import {find, make} from "./dom.js";
import {gradesFor, setGrade} from "./judgments.js";
import {generator} from "./measures.js";

let hits = [];
let place = 0;
let text = "";

/** Wire the dialog; `onChange` is called when it closes. */
export function watchJudge(onChange) {
  const dialog = find("judge");
  find("judge-start").addEventListener("click", () => {
    start();
    dialog.showModal();
  });
  find("judge-blind").addEventListener("change", start);
  find("judge-back").addEventListener("click", () => move(-1));
  find("judge-next").addEventListener("click", () => move(1));
  for (const button of dialog.querySelectorAll("[data-grade]")) {
    button.addEventListener("click", () => judge(Number(button.dataset.grade)));
  }
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (/^[0-3]$/.test(event.key)) judge(Number(event.key));
    else if (event.key === "ArrowRight" || event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") move(-1);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("close", () => {
    renderAgain();
    onChange();
  });
}

/** The hits of both orders, each once. */
function start() {
  const {a, b, fused, form} = shownComparison();
  const both = new Map();
  const full = new Map((b.window?.hits ?? []).map((hit) => [keyOf(hit), hit]));
  for (const hit of [...listHits(b, fused), ...listHits(a, null)]) {
    both.set(keyOf(hit), full.get(keyOf(hit)) ?? hit);
  }
  hits = [...both.values()];
  text = form.q;
  if (find("judge-blind").checked) shuffle(hits);
  place = 0;
  find("judge-title").textContent = text;
  showHit();
}

function shuffle(list) {
  const random = generator(crypto.getRandomValues(new Uint32Array(1))[0]);
  for (let last = list.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other], list[last]];
  }
}

function judge(grade) {
  if (!hits.length) return;
  setGrade(text, hits[place].id, grade);
  if (place < hits.length - 1) move(1);
  else showHit();
}

function move(by) {
  place = Math.max(0, Math.min(hits.length - 1, place + by));
  showHit();
}

function showHit() {
  const hit = hits[place];
  if (!hit) {
    find("judge-place").textContent = "There are no hits.";
    find("judge-hit").replaceChildren();
    return;
  }
  const grades = gradesFor(text) ?? {};
  const judged = hits.filter((one) => one.id in grades).length;
  find("judge-place").textContent = `Hit ${place + 1} of ${hits.length}; ${judged} ${judged === 1 ? "is" : "are"} judged.`;
  find("judge-hit").replaceChildren(make(
    "div", {class: "hit full"}, make("h3", {dir: "auto"}, titleOf(hit)), ...makeContent(hit),
  ));
  for (const button of find("judge").querySelectorAll("[data-grade]")) {
    button.setAttribute("aria-pressed", `${grades[hit.id] === Number(button.dataset.grade)}`);
  }
}
