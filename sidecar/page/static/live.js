// What the running sidecar did in the last hour, from the metrics that it has anyway.

import {call} from "./api.js";
import {find, make, number} from "./dom.js";
import {makeTable} from "./why.js";

const STEPS = {
  upstream: "OpenSearch", read: "reading OpenSearch's answer", text_fetch: "fetching more texts",
  prepare: "choosing passages", model: "models", queue: "waiting for a model",
  compute: "a model at work", fuse: "fusing", splice: "writing the answer",
};
const KINDS = {forwarded: "requests forwarded to OpenSearch", answered: "requests answered by the sidecar"};

/** Load and show the last hour. Raises PageError. */
export async function showLive() {
  const live = await call("live");
  const minutes = Math.max(1, Math.round(live.seconds / 60));
  find("live-content").replaceChildren(
    make("h2", {}, minutes === 1 ? "Searches of the last minute" : `Searches of the last ${minutes} minutes`),
    ...makeMinutes(live.minutes),
    ...makeStepBacks(live.present),
    ...makeReasons(live.reasons),
    make("h2", {}, "Time"),
    makeTable(["What", "Count", "Mean ms", "Half below ms", "95 % below ms"], live.steps.map((step) => [
      nameOfTime(step), `${step.count}`, number(step.mean_ms, 1), number(step.p50_ms, 1), number(step.p95_ms, 1),
    ])),
    ...makeStores(live),
    ...makeStudents(live),
    ...makeShadow(live),
    make(
      "details", {}, make("summary", {}, "Counted"),
      makeTable(["What", "Count"], live.counts.map((one) => [nameOf(one), `${one.count}`])),
    ),
  );
}

function makeMinutes(minutes) {
  const totals = minutes.map(({searches}) => Object.values(searches).reduce((sum, one) => sum + one, 0));
  const most = Math.max(0, ...totals);
  if (!most) return [];
  const words = `Searches per minute; the most in one minute: ${most}`;
  return [make("div", {class: "minutes", role: "img", "aria-label": words}, ...totals.map((total) => {
    const bar = make("span", {title: `${total}`});
    bar.style.height = `${(100 * total) / most}%`;
    return bar;
  }))];
}

/** Plans whose guard has stepped back. */
function makeStepBacks(present) {
  return present.filter((one) => one.name === "rescore_stepped_back" && one.value).map(({labels}) => make(
    "p", {class: "fix"},
    `Plan ${labels.plan} leaves the order to OpenSearch now, because its guard's limits were exceeded.`,
  ));
}

function makeReasons(reasons) {
  if (!reasons.length) return [make("p", {}, "No search has come through the proxy.")];
  return [makeTable(
    ["Plan", "Status", "Searches", "Reason", "What to do"],
    reasons.map((one) => [
      one.plan, one.status, `${one.count}`,
      one.reason ? `${one.reason}: ${one.meaning}` : "", one.fix ?? "",
    ]),
  )];
}

function nameOfTime({name, labels}) {
  if (name === "rescore_step_seconds") return `step: ${STEPS[labels.step] ?? labels.step}`;
  if (name === "relay_seconds") return KINDS[labels.kind] ?? labels.kind;
  if (name === "rescore_seconds") return `rescoring by plan ${labels.plan}`;
  if (name === "rescore_model_seconds") return `one chunk of texts by model ${labels.model}`;
  if (name === "rescore_shadow_seconds") return `shadow of plan ${labels.plan}: ${labels.step}`;
  return nameOf({name, labels});
}

function sum(counts, name, labels = {}) {
  return counts
    .filter((one) => one.name === name
      && Object.entries(labels).every(([label, value]) => one.labels[label] === value))
    .reduce((total, one) => total + one.count, 0);
}

/** How often the passage store and the window cache had what a search needed. */
function makeStores({counts, present}) {
  const lines = [];
  const share = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`;
  const passages = sum(counts, "rescore_passage_lookups_total");
  if (passages) {
    const found = sum(counts, "rescore_passage_lookups_total", {result: "hit"});
    lines.push(`Passage store: ${share(found, passages)} of ${passages} passages had their vector.`);
  }
  for (const {labels, value} of present.filter((one) => one.name === "rescore_passages_stored")) {
    if (value) lines.push(`${value} vectors of model ${labels.model} are stored.`);
  }
  const pages = sum(counts, "rescore_window_lookups_total");
  if (pages) {
    const known = pages - sum(counts, "rescore_window_lookups_total", {result: "miss"});
    lines.push(`Window cache: ${share(known, pages)} of ${pages} further pages had their order.`);
  }
  return lines.length ? [make("h2", {}, "Stores"), ...lines.map((line) => make("p", {}, line))] : [];
}

/** The students that stand in for models. */
function makeStudents({counts, present}) {
  const taught = present.filter((one) => one.name === "rescore_student_lessons" && one.value > 0);
  if (!taught.length) return [];
  return [make("h2", {}, "Students"), makeTable(
    ["Model", "Taught by passages", "Error, 0 is exact", "Estimates"],
    taught.map(({labels, value}) => {
      const error = present.find(
        (one) => one.name === "rescore_student_error" && one.labels.model === labels.model,
      );
      const estimates = sum(counts, "rescore_student_estimates_total", labels);
      return [labels.model, `${value}`, number(error?.value, 2), `${estimates}`];
    }),
  )];
}

/** What plans in the shadow would change. */
function makeShadow({counts, means}) {
  const plans = [...new Set(
    counts.filter((one) => one.name === "rescore_shadows_total").map((one) => one.labels.plan),
  )];
  if (!plans.length) return [];
  const meanOf = (name, plan) => number(
    means.find((one) => one.name === name && one.labels.plan === plan)?.mean, 2,
  );
  return [make("h2", {}, "Shadow"), makeTable(
    ["Plan", "Applied", "Others", "Overlap@10", "Rank-biased overlap", "Other first hit"],
    plans.map((plan) => {
      const all = sum(counts, "rescore_shadows_total", {plan});
      const applied = sum(counts, "rescore_shadows_total", {plan, status: "applied"});
      return [
        plan, `${applied}`, `${all - applied}`,
        meanOf("rescore_shadow_overlap_at_10", plan),
        meanOf("rescore_shadow_rank_biased_overlap", plan),
        `${sum(counts, "rescore_shadow_first_changed_total", {plan})}`,
      ];
    }),
  )];
}

function nameOf({name, labels}) {
  const values = Object.entries(labels).map(([label, value]) => `${label} ${value || "–"}`);
  return [name.replace(/^rescore_/, "").replace(/_(total|seconds)$/, "").replaceAll("_", " "),
    ...values].join(", ");
}
