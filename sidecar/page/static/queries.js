// The view of the query list: load, run all, a table with the harmed queries first, export.

import {call} from "./api.js";
import {fillFigures} from "./compare.js";
import {counted, download, find, make, number, say, show, signed} from "./dom.js";
import {
  describeLists, forgetLists, hasLists, queries, takeLists, writeCsv, writeTrec, writeWorkbench,
} from "./judgments.js";
import {allRuns, compareRuns, measureRun, runAll, sortRuns} from "./runs.js";

const ROWS = 200;
const TABLE_MS = 300; // from a query's end to its row, so that many ends are one table
const RECENT = 20; // queries whose speed tells how long the rest takes: later ones find more vectors
const EXPORTS = {
  trec: ["judgments.qrels", writeTrec, "text/plain"],
  workbench: ["judgments.json", writeWorkbench, "application/json"],
  csv: ["judgments.csv", writeCsv, "text/csv"],
};

let shownRows = ROWS;
let running = null;

/** Wire the view. `readForm` gives what the form says, `writeBody` the body for a query text,
 * `open` shows the comparison of one query. */
export function watchQueries(readForm, writeBody, open) {
  find("lists").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await loadLists(event.target.elements);
    } catch (error) {
      say(error.message, true);
    }
  });
  find("run").addEventListener("click", () => runList(readForm(), writeBody, open));
  find("cancel").addEventListener("click", () => running?.abort());
  find("forget").addEventListener("click", () => {
    forgetLists();
    showLists();
  });
  find("more-runs").addEventListener("click", () => {
    shownRows += ROWS;
    showRuns(open);
  });
  for (const button of document.querySelectorAll("[data-export]")) {
    const [name, write, type] = EXPORTS[button.dataset.export];
    button.addEventListener("click", () => download(name, write(), type));
  }
}

async function loadLists({queries: list, judgments, ...files}) {
  const asked = {
    queries: await files["queries-file"].files[0]?.text() ?? list.value,
    judgments: await files["judgments-file"].files[0]?.text() ?? judgments.value,
  };
  for (const [name, text] of Object.entries(asked)) if (!text.trim()) delete asked[name];
  if (!Object.keys(asked).length) {
    say("Paste a list or choose a file.", true);
    return;
  }
  takeLists(await call("lists", asked));
  say("");
  showLists();
}

/** Say what is loaded. */
export function showLists() {
  find("lists-what").textContent = `Loaded: ${counted(queries().length, "query", "queries")}.`;
  find("judgments-what").textContent = describeLists();
  for (const button of document.querySelectorAll("[data-export]")) button.disabled = !hasLists();
}

async function runList(form, writeBody, open) {
  if (!queries().length) {
    say("Load a list of queries first.", true);
    return;
  }
  if (!form.index) {
    say("Name an index under Compare first.", true);
    return;
  }
  running = new AbortController();
  const progress = find("progress");
  show(progress, true);
  show(find("cancel"), true);
  find("run").disabled = true;
  const count = queries().length;
  const ends = [performance.now()];
  let table = null;
  const showTable = () => {
    table = null;
    showRuns(open);
  };
  const showDone = (done) => {
    progress.value = done;
    if (done) ends.push(performance.now());
    find("progress-text").textContent = describeProgress(ends, count);
    table ??= setTimeout(showTable, TABLE_MS);
  };
  progress.max = count;
  showDone(0);
  show(find("progress-text"), true);
  say("");
  shownRows = ROWS;
  try {
    const failures = await runAll(queries(), form, writeBody, showDone, running.signal);
    if (failures.length) {
      say(`${failures.length} of ${count} queries failed. The first error: ${failures[0].message}`, true);
    } else {
      say(`Ran ${counted(count, "query", "queries")}.`);
    }
  } catch (error) {
    const isCancelled = error.name === "AbortError";
    say(isCancelled ? `Cancelled after ${progress.value} of ${count} queries.` : error.message, !isCancelled);
  } finally {
    running.abort();
    clearTimeout(table);
    for (const id of ["progress", "progress-text", "cancel"]) show(find(id), false);
    find("run").disabled = false;
  }
  showRuns(open);
}

/** How far a run is, and how long the rest will take if it goes on like the last queries. `ends` has
 * the time of the start and of each query's end. */
function describeProgress(ends, count) {
  const done = ends.length - 1;
  const text = `${done} of ${count} queries`;
  if (!done) return `${text}. Texts that no model has read yet take longest.`;
  const recent = Math.min(done, RECENT);
  const seconds = ((ends[done] - ends[done - recent]) / recent / 1000) * (count - done);
  const rest = seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
  return `${text}, about ${rest} left`;
}

/** Show the table again, after a judgment or a run. */
export function showRuns(open) {
  const runs = allRuns();
  show(find("runs"), runs.length > 0);
  if (!runs.length) return;
  fillFigures(find("run-figures"), compareRuns(runs));
  const sorted = sortRuns(runs.map(measureRun));
  find("runs").tBodies[0].replaceChildren(...sorted.slice(0, shownRows).map(
    (measured) => makeRow(measured, open),
  ));
  show(find("more-runs"), sorted.length > shownRows);
}

function makeRow({run, before, after, gain, overlap}, open) {
  const kind = gain === null || gain === 0 ? "same" : gain > 0 ? "up" : "down";
  const figure = (text, name = "") => make("td", {class: `figure ${name}`}, text);
  return make(
    "tr", {class: kind},
    make("td", {}, make("button", {type: "button", dir: "auto", click: () => open(run.text)}, run.text.slice(0, 300))),
    figure(number(before)),
    figure(number(after)),
    figure(gain === null ? "–" : signed(gain), "gain"),
    figure(number(overlap, 2)),
  );
}
