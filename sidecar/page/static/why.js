// Why a hit has its place: its score bar, each stage, each passage, and the time of each step.

import {makePieces, titleOf} from "./cards.js";
import {find, make, number} from "./dom.js";
import {CAN_FUSE, fuseWindow, guardFactor, productSettings} from "./fusion.js";

/** Open the dialog for the hit at a position of the window. */
export function openWhy(comparison, position) {
  const {window, steps} = comparison.b;
  const hit = window.hits[position];
  find("why-title").textContent = titleOf(hit);
  find("why-content").replaceChildren(
    ...makeRanks(comparison, position),
    ...makeBar(comparison, position),
    ...makeStages(window, position),
    ...makePassages(window, position),
    make("h3", {}, "Time"),
    makeTable(["Step", "ms"], steps.map((step) => [step.name, number(step.ms, 1)])),
  );
  find("why").showModal();
}

function groupAt(window, position) {
  const index = window.groups.findIndex((group) => group.hits.includes(position));
  return {index, group: window.groups[index]};
}

function makeRanks({b, fused}, position) {
  const ranking = fused?.ranking ?? b.window.ranking;
  const {group} = groupAt(b.window, position);
  const shared = group.hits.length > 1
    ? make("p", {}, `It is scored together with ${group.hits.length - 1} hits of its group ${group.group}.`)
    : null;
  const score = number(b.window.hits[position].score);
  return [
    make("p", {}, `Place ${position + 1} in OpenSearch's order with score ${score}; place `
      + `${ranking.indexOf(position) + 1} now.`),
    shared,
  ].filter(Boolean);
}

/** What a group's value is the sum of: `{name, kind, value}`. */
export function listParts(window, group, parts) {
  if (!parts) return [];
  return [
    {name: "original score", kind: "original", value: parts.original},
    {name: "lexical evidence", kind: "lexical", value: parts.lexical},
    ...(parts.added ? [{name: "identifiers", kind: "added", value: parts.added}] : []),
    ...parts.models.map(({stage, value, isExpected}) => ({
      name: `model ${window.stages[stage].model}${isExpected ? ", estimated" : ""}`,
      kind: `model-${Math.min(stage, 3)}`, value,
    })),
  ];
}

function makeBar({b, fused}, position) {
  const {window} = b;
  if (!CAN_FUSE.includes(window.method)) {
    return [make("p", {}, `Fusion by ${window.method} has no sum of parts.`)];
  }
  const outcome = fused ?? fuseWindow(window, productSettings(window));
  const index = outcome.groups.findIndex((group) => group.hits.includes(position));
  const parts = index < 0 ? [] : listParts(window, outcome.groups[index], outcome.parts[index]);
  if (!parts.length) {
    return [make("p", {}, "No model has scored it, or its original score stands apart from all "
      + "others. It keeps its place.")];
  }
  const whole = parts.reduce((sum, part) => sum + Math.abs(part.value), 0) || 1;
  const bar = make("div", {class: "bar", "aria-hidden": "true"}, ...parts.map((part) => {
    const piece = make("span", {class: part.kind});
    piece.style.width = `${(100 * Math.abs(part.value)) / whole}%`;
    return piece;
  }));
  const sum = parts.reduce((total, part) => total + part.value, 0);
  return [
    make("h3", {}, "Score"),
    bar,
    makeTable(["Part", "Value"], [
      ...parts.map((part) => [
        [make("span", {class: `swatch ${part.kind}`, "aria-hidden": "true"}), part.name],
        number(part.value),
      ]),
      ["sum", number(sum)],
    ]),
    make("p", {}, describeGuard(window, outcome.settings)),
  ];
}

function describeGuard(window, settings) {
  const words = window.query_words;
  const factor = guardFactor(window, settings);
  if (factor === 1) return `The query has ${words} different words, so the models count in full.`;
  const why = words < settings.shortQueryWords
    ? `fewer than ${settings.shortQueryWords}`
    : `more than ${window.settings.guard.long_query_words}`;
  return `The query has ${words} different words, ${why}, so the models count by `
    + `${number(factor, 2)} of their weight.`;
}

function makeStages(window, position) {
  const {group} = groupAt(window, position);
  const rows = window.stages.map((stage, number_) => [
    stage.model,
    writeScore(group, number_),
    `${stage.scored} of ${stage.groups}`,
    stage.reason ?? "",
  ]);
  return [
    make("h3", {}, "Stages"),
    makeTable(["Model", "Score of this hit", "Scored", "Ended by"], rows),
  ];
}

/** A stage's score of a group, or the estimate that stands for it. */
function writeScore(group, stage) {
  const expected = group.estimates[stage] ?? null;
  if (group.scores[stage] !== null) return number(group.scores[stage]);
  return expected === null ? "not read" : `not read; estimated ${number(expected)}`;
}

function makePassages(window, position) {
  const {index} = groupAt(window, position);
  const passages = window.passages[index];
  if (!passages?.length) {
    return [make("p", {}, passages ? "It has no text in the plan's fields." : "")];
  }
  const best = [...passages].sort((one, other) => last(other) - last(one));
  return [
    make("h3", {}, "Passages that the models read"),
    makeTable(
      ["Passage", ...window.stages.map((stage) => stage.model)],
      best.map((passage) => [
        [make("span", {dir: "auto"}, ...makePieces(passage.pieces))],
        ...window.stages.map((_, stage) => number(passage.scores[stage])),
      ]),
    ),
  ];
}

function last(passage) {
  return passage.scores.findLast((score) => score !== null && score !== undefined) ?? -Infinity;
}

/** A table of texts, or of lists of nodes. Columns of numbers are aligned at their ends. */
export function makeTable(heads, rows) {
  const kinds = heads.map((_, column) => (
    column > 0 && rows.length && rows.every((row) => isFigure(row[column])) ? "figure" : null
  ));
  return make(
    "table", {},
    make("thead", {}, make("tr", {}, ...heads.map(
      (head, column) => make("th", {scope: "col", class: kinds[column]}, head),
    ))),
    make("tbody", {}, ...rows.map((row) => make(
      "tr", {}, ...row.map((cell, column) => make("td", {class: kinds[column]}, ...[cell].flat())),
    ))),
  );
}

function isFigure(cell) {
  return typeof cell === "string" && /^(–|[+-]?\d[\d.]*)$/.test(cell);
}
