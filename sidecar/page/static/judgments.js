// The query list and the judgments of this tab: kept in its session, and written in known formats.

import {counted} from "./dom.js";

const STORE = "rescore-lists";
const LONGEST = 4000000; // characters that a browser surely keeps

let lists = {queries: [], grades: {}};
let ids = new Map();
let isKept = true;

/** Read what the tab has kept, unless `offered` lists come from the sidecar. */
export function openLists() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STORE));
    if (kept?.queries && kept?.grades) lists = kept;
  } catch {
    sessionStorage.removeItem(STORE);
  }
  index();
}

export function queries() {
  return lists.queries;
}

export function hasLists() {
  return lists.queries.length > 0 || Object.keys(lists.grades).length > 0;
}

/** Grades by document id for a query text; null without any. */
export function gradesFor(text) {
  return lists.grades[idOf(text)] ?? null;
}

export function idOf(text) {
  return ids.get(text.trim()) ?? text.trim();
}

/** Take a list of `[id, text]`, and grades by query id, or by text with `byText`. */
export function takeLists({queries: list, grades, by_text: byText}) {
  if (list) lists.queries = list;
  index();
  if (grades && byText) {
    lists.grades = {};
    for (const [text, judged] of Object.entries(grades)) {
      if (!ids.has(text)) {
        lists.queries.push([text, text]);
        ids.set(text, text);
      }
      lists.grades[ids.get(text)] = judged;
    }
  } else if (grades) {
    lists.grades = grades;
  }
  save();
}

export function setGrade(text, documentId, grade) {
  const id = idOf(text);
  if (!ids.has(text.trim())) {
    lists.queries.push([id, text.trim()]);
    ids.set(text.trim(), id);
  }
  lists.grades[id] ??= {};
  lists.grades[id][documentId] = grade;
  save();
}

export function forgetLists() {
  lists = {queries: [], grades: {}};
  sessionStorage.removeItem(STORE);
  index();
}

/** What there is, in words. */
export function describeLists() {
  const judged = Object.values(lists.grades);
  const count = judged.reduce((sum, grades) => sum + Object.keys(grades).length, 0);
  const kept = isKept ? "" : " They are too many to outlive a reload: export them.";
  return `${counted(count, "judgment")} of ${counted(judged.length, "query", "queries")}.${kept}`;
}

function index() {
  ids = new Map(lists.queries.map(([id, text]) => [text.trim(), id]));
}

function save() {
  const text = JSON.stringify(lists);
  try {
    isKept = text.length <= LONGEST;
    if (isKept) sessionStorage.setItem(STORE, text);
  } catch {
    isKept = false;
  }
}

/** Each query id with its text and its grades. */
function judgedQueries() {
  const texts = new Map(lists.queries);
  return Object.entries(lists.grades).map(([id, grades]) => ({
    id, text: texts.get(id) ?? id, grades: Object.entries(grades),
  }));
}

/** TREC qrels. Its columns have no blanks, so a query that is named by its text gets a number. */
export function writeTrec() {
  return judgedQueries().flatMap(({id, grades}, place) => {
    const name = /\s/.test(id) ? `q${place + 1}` : id;
    return grades.filter(([documentId]) => !/\s/.test(documentId))
      .map(([documentId, grade]) => `${name} 0 ${documentId} ${grade}\n`);
  }).join("");
}

/** The body that imports a judgment list into the Search Relevance Workbench. */
export function writeWorkbench() {
  return JSON.stringify({
    name: "rescore-sidecar",
    description: "Judged on the page of the Rescore Sidecar",
    type: "IMPORT_JUDGMENT",
    judgmentRatings: judgedQueries().map(({text, grades}) => ({
      query: text,
      ratings: grades.map(([docId, grade]) => ({docId, rating: grade.toFixed(3)})),
    })),
  }, null, 2);
}

export function writeCsv() {
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = judgedQueries().flatMap(({text, grades}) => grades.map(
    ([documentId, grade]) => `${cell(text)},${cell(documentId)},${grade}\n`,
  ));
  return `query,docid,rating\n${lines.join("")}`;
}
