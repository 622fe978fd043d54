// Fuses a window's scores again with other settings, without the model. The formulas are those of
// pipelines/fusion.py, fusion_methods.py and original_scores.py; a test compares the results.

const DISTANCES = 5; // of RelativeFusion: the unit of original scores
const APART = 8;
const FAR = 100;
const MOST = 10;

export const CAN_FUSE = ["relative", "additive"];

/** The settings of a window as the product used them; `cut` is the number of hits it rescored. */
export function productSettings(window) {
  const {weight, lexical, short_query_words, guard} = window.settings;
  return {
    lexical: lexical ?? 0,
    shortQueryWords: guard?.short_query_words ?? short_query_words ?? 1,
    weights: window.method === "additive" ? window.stages.map((stage) => stage.weight) : [weight],
    cut: window.hits.length,
  };
}

/** The new order of a window with these settings.
 *
 * `ranking` has the positions of the hits. `values` has the fused value of each group, undefined
 * where no stage scored it, and `parts` what it is the sum of.
 */
export function fuseWindow(window, settings) {
  const groups = cutGroups(window, settings.cut);
  const originals = readOriginals(groups.map((group) => group.original));
  const outcome = window.method === "additive"
    ? fuseAdditive(window, groups, originals, settings)
    : fuseRelative(window, groups, originals, settings);
  const ranking = outcome.order.flatMap((index) => groups[index].hits);
  for (let position = settings.cut; position < window.hits.length; position += 1) {
    ranking.push(position);
  }
  return {ranking, values: outcome.values, parts: outcome.parts, groups, settings};
}

/** The groups of the first hits; a group keeps only its hits among them. */
function cutGroups(window, cut) {
  if (cut >= window.hits.length) return window.groups;
  return window.groups
    .map((group) => ({...group, hits: group.hits.filter((position) => position < cut)}))
    .filter((group) => group.hits.length > 0)
    .map((group) => ({
      ...group,
      original: Math.max(...group.hits.map((position) => window.hits[position].score ?? 0)),
    }));
}

/** Original share and lexical share of each group. */
function wordTerms(groups, originals, lexical) {
  const unit = DISTANCES * originals.distance;
  const mixes = lexical > 0 && groups.some((group) => group.evidence !== null);
  return groups.map((group) => {
    const term = unit ? (group.original - originals.low) / unit : 0;
    if (!mixes) return {original: term, lexical: 0};
    return {original: (1 - lexical) * term, lexical: lexical * (group.evidence ?? 0)};
  });
}

function fuseRelative(window, groups, originals, settings) {
  const terms = wordTerms(groups, originals, settings.lexical);
  const weight = settings.weights[0] * guardFactor(window, settings);
  let order = groups.map((_, index) => index);
  let open = order.filter((index) => groups[index].readable);
  const values = [];
  const parts = [];
  window.stages.forEach(({take}, stage) => {
    const scored = chooseScored(groups, open, stage, take);
    if (!scored.length) return;
    const held = scored.filter((index) => holds(originals, groups[index].original));
    const fused = new Map();
    for (const index of held) {
      const {original, lexical} = terms[index];
      const model = weight * groups[index].scores[stage];
      fused.set(index, original + lexical + model);
      parts[index] = {original, lexical, models: [{stage, value: model}]};
    }
    placeApart(scored, groups, originals, fused);
    order = reorder(order, fused);
    if (values.some((value) => value !== undefined)) {
      // Values of two models cannot be compared, so these get the range that they had before.
      const placed = order.filter((index) => fused.has(index));
      const laid = layOn(
        placed.map((index) => fused.get(index)), placed.map((index) => values[index]),
      );
      placed.forEach((index, place) => fused.set(index, laid[place]));
    }
    for (const [index, value] of fused) values[index] = value;
    open = order.filter((index) => fused.has(index));
  });
  return {order, values, parts};
}

/** The groups, in the original order, that a stage reads: the best `take` of the open ones, as far
 * as their scores are known. A group that the stage has not read keeps its place, as in the
 * product, and so does a group that would no longer be among the best. */
function chooseScored(groups, open, stage, take) {
  return open.slice(0, take ?? open.length)
    .filter((index) => groups[index].scores[stage] !== null)
    .sort((one, other) => one - other);
}

/** Groups that stand apart get the highest or lowest value of the others. */
function placeApart(scored, groups, originals, fused) {
  const all = [...fused.values()];
  const highest = all.length ? Math.max(...all) : 0;
  const lowest = all.length ? Math.min(...all) : 0;
  for (const index of scored) {
    if (!fused.has(index)) {
      fused.set(index, groups[index].original > originals.high ? highest : lowest);
    }
  }
}

/** Permute the groups that have a value among their places; ties keep the original order. */
function reorder(order, fused) {
  const best = [...fused.keys()].sort(
    (one, other) => fused.get(other) - fused.get(one) || one - other,
  );
  let next = 0;
  return order.map((index) => (fused.has(index) ? best[next++] : index));
}

function layOn(values, scale) {
  const bottom = Math.min(...values);
  const top = Math.max(...values);
  if (bottom === top) return [...scale].sort((one, other) => other - one);
  const low = Math.min(...scale);
  const high = Math.max(...scale);
  return values.map((value) => (
    value === top ? high : low + (high - low) * ((value - bottom) / (top - bottom))
  ));
}

function holds(originals, score) {
  return originals.low <= score && score <= originals.high;
}

/** Lowest and highest score without those that stand apart, and the mean distance of two. */
export function readOriginals(scores) {
  let ordered = [...scores].sort((one, other) => one - other);
  for (let cut = findCut(ordered); cut !== null; cut = findCut(ordered)) {
    ordered = 2 * cut >= ordered.length ? ordered.slice(0, cut) : ordered.slice(cut);
  }
  if (!ordered.length) return {low: 0, high: 0, distance: 0};
  return {low: ordered[0], high: ordered.at(-1), distance: meanDifference(ordered)};
}

function findCut(ordered) {
  const count = ordered.length;
  if (count < 3) return null;
  const wide = [];
  const gaps = [];
  for (let place = 1; place < count; place += 1) {
    const gap = ordered[place] - ordered[place - 1];
    gaps.push(gap);
    const lower = 2 * place >= count;
    const range = lower ? ordered[place - 1] - ordered[0] : ordered[count - 1] - ordered[place];
    const alike = Math.abs(lower ? ordered[place - 1] : ordered[place]);
    const least = range > 0 ? APART * range : FAR * alike;
    if (least > 0 && gap >= least) wide.push(place);
  }
  wide.sort((one, other) => gaps[other - 1] - gaps[one - 1]);
  for (const place of wide) {
    const apart = 2 * place >= count ? gaps.slice(place) : gaps.slice(0, place - 1);
    if (apart.length < MOST && areLevels(apart, gaps[place - 1])) return place;
  }
  return null;
}

function areLevels(gaps, gap) {
  let width = 0;
  for (const one of gaps) {
    width = one >= 0.75 * gap ? 0 : width + one;
    if (width > gap / 2) return false;
  }
  return true;
}

function meanDifference(ordered) {
  const count = ordered.length;
  if (count < 2) return 0;
  let sum = 0;
  for (let below = 1; below < count; below += 1) {
    sum += (ordered[below] - ordered[below - 1]) * below * (count - below);
  }
  return sum / ((count * (count - 1)) / 2);
}

/** As _Addition in pipelines/rescore.py. An estimate counts as a score; if there are some, every
 * open group has one of the two. */
function fuseAdditive(window, groups, originals, settings) {
  const terms = wordTerms(groups, originals, settings.lexical);
  const factor = guardFactor(window, settings);
  const identifiers = window.settings.guard.identifiers;
  let order = groups.map((_, index) => index);
  let open = order.filter((index) => groups[index].readable);
  const values = [];
  const parts = [];
  let known = new Map();
  groups.forEach((group, index) => {
    if (!group.readable || !holds(originals, group.original)) return;
    const added = identifiers * (group.exact ?? 0);
    const {original, lexical} = terms[index];
    parts[index] = {original, lexical, added, models: []};
    known.set(index, original + lexical + added);
  });
  window.stages.forEach(({spread, take}, stage) => {
    const scoreOf = (index) => groups[index].scores[stage] ?? groups[index].estimates[stage];
    const seen = groups.some((group) => group.estimates[stage] !== null)
      ? open.filter((index) => scoreOf(index) !== null).sort((one, other) => one - other)
      : chooseScored(groups, open, stage, take);
    if (!seen.length) return;
    const later = new Map();
    for (const index of seen) {
      if (!known.has(index)) continue;
      const value = (settings.weights[stage] * factor * scoreOf(index)) / spread;
      later.set(index, known.get(index) + value);
      parts[index].models.push({stage, value, isExpected: groups[index].scores[stage] === null});
    }
    known = new Map(later);
    placeApart(
      seen.filter((index) => !holds(originals, groups[index].original)), groups, originals, later,
    );
    order = reorder(order, later);
    layOnEarlier(order, later, values);
    for (const [index, value] of later) values[index] = value;
    open = order.filter((index) => later.has(index));
  });
  return {order, values, parts: parts.map((one, index) => values[index] !== undefined ? one : undefined)};
}

/** If groups without these values have earlier ones, these get the range of their earlier ones. */
function layOnEarlier(order, fused, values) {
  if (!values.some((value, index) => value !== undefined && !fused.has(index))) return;
  const placed = order.filter((index) => fused.has(index));
  const laid = layOn(placed.map((index) => fused.get(index)), placed.map((index) => values[index]));
  placed.forEach((index, place) => fused.set(index, laid[place]));
}

/** What the guard of short and long query texts multiplies the weights by. */
export function guardFactor(window, {shortQueryWords}) {
  const long = window.settings.guard?.long_query_words ?? Infinity;
  const words = window.query_words;
  return Math.min(1, words / shortQueryWords) * (words > long ? long / words : 1);
}
