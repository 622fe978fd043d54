// The sliders, and the plan with their numbers.

import {fillFigures, shownComparison, tuneTo} from "./compare.js";
import {download, find, make, say, show} from "./dom.js";
import {CAN_FUSE, fuseWindow, productSettings} from "./fusion.js";
import {differences, setNumbers} from "./plan-text.js";
import {readState, SETTINGS, writeState} from "./state.js";
import {compareRuns, fuseRuns} from "./runs.js";

let settings = null;
let own = null;
let later = 0;

/** Show the sliders for a comparison; the address may have settings of its own. */
export function showSliders(comparison) {
  const window = comparison.b.window;
  const why = whyNot(comparison);
  find("tune-why").textContent = why ?? "";
  show(find("tune-why"), why !== null);
  for (const id of ["sliders", "tune-actions", "tune-figures"]) show(find(id), why === null);
  if (why !== null) return;
  own = productSettings(window);
  settings = readSettings(own);
  find("sliders").replaceChildren(...makeSliders(window));
  apply();
}

function whyNot({b, form}) {
  if (!form.b) return "OpenSearch alone has no settings to tune; choose a plan as order B.";
  if (!b.window) return "The search was not rescored, so there are no scores to fuse again.";
  if (!CAN_FUSE.includes(b.window.method)) {
    return `Fusion by ${b.window.method} is not tuned here, because it uses ranks or a scale of its `
      + "own; the sliders are for relative and additive fusion.";
  }
  return null;
}

function readSettings(base) {
  const state = readState();
  const numbers = (text) => text.split(",").map(Number);
  return {
    weights: state.w && numbers(state.w).length === base.weights.length
      ? numbers(state.w).map((value, stage) => usable(value, base.weights[stage]))
      : [...base.weights],
    lexical: state.lex ? usable(Number(state.lex), base.lexical) : base.lexical,
    shortQueryWords: state.guard ? usable(Number(state.guard), base.shortQueryWords) : base.shortQueryWords,
    cut: state.cut ? Math.min(usable(Number(state.cut), base.cut), base.cut) : base.cut,
  };
}

function usable(value, otherwise) {
  return Number.isFinite(value) && value >= 0 ? value : otherwise;
}

function makeSliders(window) {
  const isAdditive = window.method === "additive";
  const sliders = settings.weights.map((_, stage) => makeSlider(
    isAdditive ? `Weight of ${window.stages[stage].model}` : "Weight of the model",
    `weight-${stage}`,
    {max: Math.max(isAdditive ? 2 : 20, 2 * own.weights[stage]), step: isAdditive ? 0.01 : 0.1},
    () => settings.weights[stage],
    (value) => { settings.weights[stage] = value; },
  ));
  sliders.push(makeSlider(
    "Share of lexical evidence", "lexical", {max: 1, step: 0.01},
    () => settings.lexical, (value) => { settings.lexical = value; },
  ));
  sliders.push(makeSlider(
    "Query words for full weight", "guard", {min: 1, max: 20, step: 1},
    () => settings.shortQueryWords, (value) => { settings.shortQueryWords = value; },
  ));
  sliders.push(makeSlider(
    "Rescored hits (window)", "cut", {min: 1, max: own.cut, step: 1},
    () => settings.cut, (value) => { settings.cut = value; },
  ));
  return sliders;
}

function makeSlider(name, id, range, get, set) {
  const output = make("output", {}, `${get()}`);
  const slider = make("input", {type: "range", id: `slider-${id}`, min: 0, ...range});
  slider.value = get();
  slider.addEventListener("input", () => {
    set(slider.valueAsNumber);
    output.textContent = `${get()}`;
    apply();
  });
  return make("label", {for: slider.id}, make("span", {}, `${name} `, output), slider);
}

function isOwn() {
  return settings.weights.every((weight, stage) => weight === own.weights[stage])
    && settings.lexical === own.lexical && settings.shortQueryWords === own.shortQueryWords
    && settings.cut === own.cut;
}

/** Fuse with the settings, at once; measures over all queries follow when the hand rests. */
function apply() {
  tuneTo(isOwn() ? null : settings);
  clearTimeout(later);
  later = setTimeout(() => {
    const state = readState();
    const text = {
      w: settings.weights.join(","), lex: `${settings.lexical}`, guard: `${settings.shortQueryWords}`,
      cut: `${settings.cut}`,
    };
    for (const name of SETTINGS) state[name] = isOwn() ? "" : text[name];
    writeState(state, true);
    showFigures();
  }, 150);
}

function showFigures() {
  const figures = [];
  const changes = fuseRuns((window) => fuseWindow(window, forWindow(window)));
  if (changes.length > 1) figures.push(...compareRuns(changes));
  fillFigures(find("tune-figures"), figures);
}

/** The settings for the window of another query, which may have fewer hits. */
function forWindow(window) {
  const cut = settings.cut === own.cut ? window.hits.length : settings.cut;
  return {...settings, cut: Math.min(cut, window.hits.length)};
}

/** Forget the settings of the address, for another search. */
export function forgetSettings(state) {
  for (const name of SETTINGS) state[name] = "";
}

/** Wire the buttons. `readPlan` gives a promise of a plan's description by name. */
export function watchTune(readPlan) {
  find("tune-reset").addEventListener("click", () => {
    settings = {...own, weights: [...own.weights]};
    find("sliders").replaceChildren(...makeSliders(shownComparison().b.window));
    apply();
  });
  let written = "";
  let name = "";
  find("write-plan").addEventListener("click", async () => {
    const {b, form} = shownComparison();
    const plan = await readPlan(form.b).catch((error) => say(error.message, true));
    if (!plan) return;
    name = form.b;
    written = setNumbers(plan.yaml, listNumbers(b.window));
    const lines = differences(plan.yaml, written);
    find("plan-difference").replaceChildren(...(lines.length
      ? lines.map(({sign, text}) => make("span", {class: sign === "-" ? "out" : "in"}, `${sign} ${text}\n`))
      : ["The sliders have the plan's own numbers."]));
    find("plan-dialog").showModal();
  });
  find("copy-plan").addEventListener("click", async () => {
    await navigator.clipboard.writeText(written);
    say("The plan is copied.");
  });
  find("download-plan").addEventListener("click", () => download(`${name}.yaml`, written, "text/yaml"));
}

/** The places in the plan that the sliders change, with their numbers. */
function listNumbers(window) {
  const isAdditive = window.method === "additive";
  const numbers = [];
  const add = (path, value, before) => { if (value !== before) numbers.push([path, value]); };
  settings.weights.forEach((weight, stage) => {
    add(isAdditive ? ["stages", stage, "weight"] : ["fusion", "weight"], weight, own.weights[stage]);
  });
  add(["fusion", "lexical"], settings.lexical, own.lexical);
  add(
    isAdditive ? ["fusion", "guard", "short_query_words"] : ["fusion", "short_query_words"],
    settings.shortQueryWords, own.shortQueryWords,
  );
  add(["rescore_window"], settings.cut, own.cut);
  return numbers;
}
