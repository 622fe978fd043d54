// How good an order is, and how much two orders differ. nDCG is that of pipelines/measures.py.

/** nDCG at k; `grades` is an object of grades by id. */
export function ndcg(grades, ids, k = 10) {
  const gains = ids.slice(0, k).map((id) => Math.max(0, grades[id] ?? 0));
  const ideal = Object.values(grades).filter((grade) => grade > 0)
    .sort((one, other) => other - one).slice(0, k);
  return ideal.length ? discounted(gains) / discounted(ideal) : 0;
}

function discounted(gains) {
  return gains.reduce((sum, gain, place) => sum + gain / Math.log2(place + 2), 0);
}

/** The share of the first k ids that both orders have. */
export function overlap(one, other, k = 10) {
  const first = new Set(one.slice(0, k));
  const depth = Math.min(k, Math.max(one.length, other.length));
  return depth ? other.slice(0, k).filter((id) => first.has(id)).length / depth : 1;
}

/** Rank-biased overlap of two lists, extrapolated from what is known of both; p = 0.9.
 *
 * Source: Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", TOIS 2010,
 * equation 32, cut to the length of the shorter list.
 */
export function rankBiasedOverlap(one, other, p = 0.9) {
  const depth = Math.min(one.length, other.length);
  if (!depth) return one.length === other.length ? 1 : 0;
  const left = new Set();
  const right = new Set();
  let common = 0;
  let sum = 0;
  for (let place = 0; place < depth; place += 1) {
    if (one[place] === other[place]) common += 1;
    else common += Number(right.has(one[place])) + Number(left.has(other[place]));
    left.add(one[place]);
    right.add(other[place]);
    sum += (common / (place + 1)) * p ** (place + 1);
  }
  return (common / depth) * p ** depth + ((1 - p) / p) * sum;
}

/** The middle 95 % of the means of many resamples: the paired bootstrap, if given differences. */
export function bootstrapInterval(values, resamples = 2000) {
  const random = generator(20240229);
  const count = values.length;
  const means = new Float64Array(resamples);
  for (let sample = 0; sample < resamples; sample += 1) {
    let sum = 0;
    for (let pick = 0; pick < count; pick += 1) sum += values[Math.floor(random() * count)];
    means[sample] = sum / count;
  }
  means.sort();
  return {low: quantile(means, 0.025), high: quantile(means, 0.975)};
}

function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32, public domain). */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
