// Runs a list of queries with both orders, and says how much the orders differ over all of them.

import {call} from "./api.js";
import {writeSearch} from "./compare.js";
import {number, signed} from "./dom.js";
import {CAN_FUSE} from "./fusion.js";
import {gradesFor} from "./judgments.js";
import {bootstrapInterval, mean, ndcg, overlap, rankBiasedOverlap} from "./measures.js";

const AT_ONCE = 2; // more would only share the models, and the first result would come later
const DEPTH = 10;
// Without these, no other query could be searched either.
const ENDS_ALL = ["account", "key", "forbidden", "network"];

let runs = [];
let plan = null;

/** Search with every query. `onDone` gets the number of finished queries; `allRuns` has what has
 * run by then. Returns the errors of queries that failed. Raises PageError if no other query can be
 * searched. */
export async function runAll(queries, form, writeBody, onDone, signal) {
  runs = [];
  plan = form.b;
  const wanted = {...form, size: DEPTH};
  const results = new Array(queries.length);
  const failures = [];
  let next = 0;
  let done = 0;
  const work = async () => {
    while (next < queries.length) {
      const place = next;
      next += 1;
      try {
        results[place] = await runOne(queries[place], wanted, writeBody, signal);
      } catch (error) {
        if (error.name === "AbortError" || ENDS_ALL.includes(error.cause)) throw error;
        failures.push(error);
      }
      done += 1;
      runs = results.filter(Boolean);
      onDone(done);
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, work));
  return failures;
}

async function runOne([id, text], form, writeBody, signal) {
  const body = writeBody(text);
  const b = await call("search", writeSearch(form, form.b, body, "scores"), signal);
  // The window has the hits in OpenSearch's own order, so that order needs no search of its own.
  const a = form.a === "" && b.window
    ? {hits: [...b.window.hits, ...b.hits.slice(b.window.hits.length)].slice(0, form.size)}
    : await call("search", writeSearch(form, form.a, body, "none"), signal);
  return {
    id,
    text,
    idsA: listIds(a.hits),
    idsB: listIds(b.hits),
    window: b.window,
    status: b.outcome?.status ?? "alone",
  };
}

export function allRuns() {
  return runs;
}

export function planOfRuns() {
  return plan;
}

function listIds(hits) {
  return hits.map((hit) => hit.id);
}

/** The runs with order B as `fuse` makes it; a window that cannot be fused keeps its order. */
export function fuseRuns(fuse) {
  return runs.map((run) => {
    if (!run.window || !CAN_FUSE.includes(run.window.method)) return run;
    const ranking = fuse(run.window).ranking.slice(0, run.idsB.length);
    return {...run, idsB: ranking.map((position) => run.window.hits[position].id)};
  });
}

/** One run's measures. `gain` is null without judgments. */
export function measureRun(run) {
  const grades = gradesFor(run.text);
  const [before, after] = grades
    ? [ndcg(grades, run.idsA), ndcg(grades, run.idsB)]
    : [null, null];
  return {
    run,
    before,
    after,
    gain: grades ? after - before : null,
    overlap: overlap(run.idsA, run.idsB),
    similarity: rankBiasedOverlap(run.idsA, run.idsB),
  };
}

/** The figures over all runs: how alike, and for the judged ones, how good. */
export function compareRuns(all) {
  const measured = all.map(measureRun);
  const figures = [
    ["queries", `${measured.length}`],
    ["overlap@10", number(mean(measured.map((one) => one.overlap)), 2)],
    ["rank-biased overlap", number(mean(measured.map((one) => one.similarity)), 2)],
  ];
  const judged = measured.filter((one) => one.gain !== null);
  if (judged.length) {
    const gains = judged.map((one) => one.gain);
    const {low, high} = bootstrapInterval(gains);
    figures.push(
      ["judged", `${judged.length}`],
      ["nDCG@10 A", number(mean(judged.map((one) => one.before)), 4)],
      ["B", number(mean(judged.map((one) => one.after)), 4)],
      ["gain", `${signed(mean(gains), 4)} (95 % ${signed(low, 4)} to ${signed(high, 4)})`],
      ["helped", `${gains.filter((gain) => gain > 0).length}`],
      ["harmed", `${gains.filter((gain) => gain < 0).length}`],
    );
  }
  return figures;
}

/** Harmed queries first; without judgments, those whose order changed most. */
export function sortRuns(measured) {
  return [...measured].sort((one, other) => (
    (one.gain ?? 0) - (other.gain ?? 0) || one.similarity - other.similarity
  ));
}
