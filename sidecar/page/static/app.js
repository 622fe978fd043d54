// Starts the page: views, the form, and the address behind `#`.

import {askFor, call} from "./api.js";
import {compare, shownComparison, watchLists} from "./compare.js";
import {find, make, say, show} from "./dom.js";
import {hasLists, openLists, takeLists} from "./judgments.js";
import {watchJudge} from "./judge.js";
import {showLive} from "./live.js";
import {showLists, showRuns, watchQueries} from "./queries.js";
import {readState, writeState} from "./state.js";
import {forgetSettings, showSliders, watchTune} from "./tune.js";

const form = find("search");
let plans = [];
let routes = [];
let collection = null;
let searching = null;

const planOf = (name) => plans.find((plan) => plan.name === name);

/** A plan as it is now: it may have changed since the page was opened. */
async function readPlan(name) {
  ({plans, routes} = await call("plans"));
  return planOf(name);
}

/** What the form says, as texts. */
function readForm() {
  const values = {};
  for (const name of ["index", "q", "a", "b", "size", "body", "title", "fields", "image"]) {
    values[name] = form.elements[name].value;
  }
  return {...values, wait: form.elements.wait.checked ? "1" : "0"};
}

function fillForm(state) {
  for (const name of ["index", "q", "size", "body", "title", "fields", "image"]) {
    form.elements[name].value = state[name];
  }
  form.elements.wait.checked = state.wait === "1";
  form.elements.a.value = planOf(state.a) ? state.a : "";
  form.elements.b.value = planOf(state.b) || state.b === "-" ? state.b.replace("-", "") : defaultPlan(state.index);
}

function defaultPlan(index) {
  const routed = routes.find((route) => route.index === index)?.plan;
  return planOf(routed)?.name ?? planOf(collection?.plan)?.name ?? plans[0]?.name ?? "";
}

/** The plan whose fields are shown and searched. */
function mainPlan(values) {
  return planOf(values.b) ?? planOf(values.a) ?? plans[0];
}

/** What the page sends: fields that the user left empty are the plan's. */
function complete(values) {
  const plan = mainPlan(values);
  const hasPassage = values.b !== "";
  return {
    ...values,
    title: values.title || (plan?.title ?? []).join(","),
    fields: values.fields || (hasPassage ? "" : (plan?.body ?? []).join(",")),
  };
}

/** The search body for a query text. Throws an Error if the user's body is not JSON. */
function writeBody(values, text) {
  let template;
  if (values.body.trim()) {
    try {
      template = JSON.parse(values.body);
    } catch (error) {
      throw new Error(`The search body is not JSON: ${error.message}`);
    }
  } else {
    template = values.index === collection?.index ? collection.template : mainPlan(values)?.template;
  }
  return fillIn(template, text);
}

function fillIn(value, text) {
  if (typeof value === "string") return value.replaceAll("{{query}}", () => text);
  if (Array.isArray(value)) return value.map((item) => fillIn(item, text));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillIn(item, text)]));
}

async function runComparison() {
  searching?.abort();
  searching = new AbortController();
  const {signal} = searching;
  find("main").setAttribute("aria-busy", "true");
  const values = complete(readForm());
  try {
    const comparison = await compare(values, writeBody(values, values.q), signal);
    if (!signal.aborted) showSliders(comparison);
  } catch (error) {
    if (error.name === "AbortError") return;
    show(find("result"), false);
    say(error.message, true);
  }
  find("main").setAttribute("aria-busy", "false");
}

/** Show the view of the address, and run its comparison if there is one. */
async function follow() {
  const state = readState();
  for (const view of ["compare", "queries", "live"]) show(find(view), view === state.view);
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.view === state.view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  fillForm(state);
  if (state.view === "queries") {
    showLists();
    showRuns(openQuery);
  }
  if (state.view === "live") await showLive().catch((error) => say(error.message, true));
  if (state.view === "compare" && state.index && state.q) await runComparison();
}

/** The state of the form, with `-` for OpenSearch alone as order B. */
function formState(values) {
  return {...readState(), ...values, b: values.b || "-"};
}

function openQuery(text) {
  const state = {...formState(readForm()), view: "compare", q: text};
  forgetSettings(state);
  writeState(state);
  follow();
}

function watchForm() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm();
    const before = readState();
    const state = {...formState(values), view: "compare"};
    if (["index", "q", "b", "body"].some((name) => before[name] !== state[name])) forgetSettings(state);
    writeState(state);
    runComparison();
  });
  form.elements.index.addEventListener("change", () => {
    if (!readState().b) form.elements.b.value = defaultPlan(form.elements.index.value);
  });
  for (const button of document.querySelectorAll("nav button")) {
    button.addEventListener("click", () => {
      writeState({...readState(), ...formState(readForm()), view: button.dataset.view});
      follow();
    });
  }
  addEventListener("popstate", follow);
  find("copy-link").addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied.");
  });
  find("account").addEventListener("click", async () => {
    if (await askFor("account") && shownComparison()) runComparison();
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
  }
}

async function start() {
  openLists();
  watchForm();
  watchLists();
  watchTune(readPlan);
  watchQueries(() => complete(readForm()), (text) => writeBody(complete(readForm()), text), openQuery);
  watchJudge(showLists);
  const known = await call("plans");
  ({plans, routes} = known);
  collection = await call("collection");
  if (collection && !hasLists()) takeLists(collection);
  for (const name of ["a", "b"]) {
    form.elements[name].replaceChildren(
      make("option", {value: ""}, "OpenSearch alone"),
      ...plans.map((plan) => make("option", {value: plan.name}, `plan ${plan.name}`)),
    );
  }
  const indexes = new Set(routes.map((route) => route.index));
  find("indexes").replaceChildren(...[...indexes].map((name) => make("option", {value: name})));
  const state = readState();
  if (!state.index) {
    state.index = collection?.index ?? [...indexes].find((name) => !/[*?]/.test(name)) ?? "";
    if (collection && !state.q) state.q = collection.queries[0]?.[1] ?? "";
    writeState(state, true);
  }
  await follow();
}

start().catch((error) => say(error.message, true)).finally(() => {
  find("main").setAttribute("aria-busy", "false");
});
