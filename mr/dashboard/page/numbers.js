/*
 * The numbers of published rows: buckets, distributions, and what can be said of them.
 *
 * A row is [bucket 0 .. bucket n-1, sum, log_sum, log_sum_squares, sum_squares_lo, sum_squares_hi,
 * submissions, filter id]; a statistic of -1 is absent. The formulas are those of
 * `mr/histograms/statistics.py`, and tests hold the two together.
 */
"use strict";

const AFTER_BUCKETS = 7;
const PERCENTILES = [5, 25, 50, 75, 95];
const CATEGORICAL = ["enumerated", "boolean", "flag"];
/** The client sent a sum of squares as two halves of 32 bits. */
const HALF = 2 ** 32;
/** No measure has more buckets. */
const MOST_BUCKETS = 10000;

/**
 * A measure's kind, description and lower bounds, from either form of definition.
 * Throws a Problem for what is no definition.
 */
function parseDefinition(raw) {
  const refuse = (reason) => {
    throw new Problem(`its definition is broken: ${reason}`);
  };
  if (raw === null || typeof raw !== "object") refuse("it is no object");
  const whole = (name, least) => {
    const number = Number(raw[name] ?? NaN);
    if (!Number.isSafeInteger(number) || number < least) refuse(`${name} is no good number`);
    return number;
  };
  const made = (kind, bounds) => ({
    kind,
    bounds,
    description: typeof raw.description === "string" ? raw.description : "",
    isCategorical: CATEGORICAL.includes(kind),
  });
  let kind = String(raw.kind);
  if (/^[0-3]$/.test(kind)) {
    const isEnumerated = Number(raw.min) === 1 && Number(raw.bucket_count) === Number(raw.max) + 1;
    kind = ["exponential", isEnumerated ? "enumerated" : "linear", "boolean", "flag"][Number(kind)];
    if (kind === "exponential" || kind === "linear" || kind === "enumerated") {
      const bounds = Array.isArray(raw.buckets) ? raw.buckets.map(Number) : [];
      if (bounds.length < 2 || bounds.some((one) => !Number.isFinite(one))) {
        refuse("its buckets are no numbers");
      }
      return made(kind, bounds);
    }
  }
  if (kind === "boolean" || kind === "flag") return made(kind, [0, 1, 2]);
  if (kind === "enumerated") {
    const values = whole("n_values", 1);
    if (values >= MOST_BUCKETS) refuse("n_values is too large");
    return made(kind, Array.from({ length: values + 1 }, (_, place) => place));
  }
  if (kind !== "exponential" && kind !== "linear") refuse(`there is no kind ${kind}`);
  const low = Number(raw.low ?? 0) === 0 ? 1 : whole("low", 1);
  const high = whole("high", low + 1);
  const buckets = whole("n_buckets", 3);
  if (buckets > MOST_BUCKETS) refuse("n_buckets is too large");
  return made(kind, kind === "linear" ? linear(low, high, buckets) : exponential(low, high, buckets));
}

/** Lower bounds 0, low, ..., high, each about as far from the one before. */
function linear(low, high, buckets) {
  const bounds = [0];
  for (let i = 1; i < buckets; i++) {
    bounds.push(Math.floor((low * (buckets - 1 - i) + high * (i - 1)) / (buckets - 2) + 0.5));
  }
  return bounds;
}

/** Lower bounds 0, low, ..., high, each about the same multiple of the one before. */
function exponential(low, high, buckets) {
  const bounds = [0, low];
  for (let i = 2; i < buckets; i++) {
    const last = bounds[i - 1];
    const log = Math.log(last);
    const bound = Math.floor(Math.exp(log + (Math.log(high) - log) / (buckets - i)) + 0.5);
    bounds.push(Math.max(bound, last + 1));
  }
  return bounds;
}

/** The sum of some rows of one measure. A statistic is null where no row tells it. */
class Distribution {
  constructor(definition, rows) {
    const size = definition.bounds.length;
    this.definition = definition;
    this.counts = new Array(size).fill(0);
    this.submissions = 0;
    this.sum = this.logSum = this.logSumSquares = this.sumSquares = null;
    const plus = (name, value) => {
      if (value !== -1) this[name] = (this[name] ?? 0) + value;
    };
    for (const row of rows) {
      for (let place = 0; place < size; place++) this.counts[place] += row[place];
      plus("sum", row[size]);
      plus("logSum", row[size + 1]);
      plus("logSumSquares", row[size + 2]);
      plus("sumSquares", squaresOf(row[size + 3], row[size + 4], row[size + 5]));
      this.submissions += row[size + 5];
    }
    this.count = this.counts.reduce((total, number) => total + number, 0);
  }

  /** The upper end of each bucket; that of the last is estimated from the mean of its values. */
  get ends() {
    const { bounds } = this.definition;
    const last = bounds.length - 1;
    const ends = [...bounds.slice(1), 0];
    const start = bounds[last];
    if (this.sum === null || this.counts[last] <= 0) {
      ends[last] = start + (start - bounds[last - 1]);
      return ends;
    }
    let others = 0;
    for (let place = 0; place < last; place++) {
      others += (this.counts[place] * (bounds[place] + ends[place])) / 2;
    }
    ends[last] = Math.max((2 * (this.sum - others)) / this.counts[last] - start, start);
    return ends;
  }

  get mean() {
    return this.sum === null || this.count <= 0 ? null : this.sum / this.count;
  }

  /** The value below which p percent lie, estimated within its bucket; null if empty. */
  percentile(p) {
    if (this.count <= 0) return null;
    const ends = this.ends;
    let remaining = (this.count * p) / 100;
    for (let place = 0; place < this.counts.length; place++) {
      const number = this.counts[place];
      if (number > 0 && remaining <= number) {
        const start = this.definition.bounds[place];
        const share = remaining / number;
        if (this.definition.kind === "exponential" && start > 0 && ends[place] > 0) {
          return start * (ends[place] / start) ** share;
        }
        return start + (ends[place] - start) * share;
      }
      remaining -= Math.max(number, 0);
    }
    return ends[ends.length - 1];
  }

  get standardDeviation() {
    if (this.sumSquares === null || this.mean === null) return null;
    return Math.sqrt(Math.max(this.sumSquares / this.count - this.mean ** 2, 0));
  }

  /** Whether logarithms were summed: some measures of the client say 0 instead of absent. */
  get hasLogarithms() {
    return this.count > 0 && this.logSum !== null && !(this.sum && !this.logSum);
  }

  /** exp(mean of ln(x+1)) - 1, so that zeros count. */
  get geometricMean() {
    return this.hasLogarithms ? finite(Math.exp(this.logSum / this.count) - 1) : null;
  }

  get geometricStandardDeviation() {
    if (!this.hasLogarithms || this.logSumSquares === null) return null;
    const mean = this.logSum / this.count;
    return finite(Math.exp(Math.sqrt(Math.max(this.logSumSquares / this.count - mean ** 2, 0))));
  }

  /** The share of the values in a bucket, 0 to 1. */
  share(place) {
    return this.count > 0 ? this.counts[place] / this.count : 0;
  }

  /** The shares of the values in each bucket and those before it. */
  get cumulative() {
    let reached = 0;
    return this.counts.map((number) => {
      reached += number;
      return this.count > 0 ? reached / this.count : 0;
    });
  }
}

/** The sum of squares of a row, -1 if absent; see `_squares` of mr/histograms/statistics.py. */
function squaresOf(low, high, submissions) {
  if (low === -1 && high === -1) return -1;
  low = low === -1 ? 0 : low;
  high = high === -1 ? 0 : high;
  const least = low < 0 ? Math.max(-Math.floor(low / HALF), 0) : 0;
  const most = submissions > 1 ? Math.max(least, Math.min(submissions, high)) : least;
  return low + (high + (most > least ? (least + most) / 2 : least)) * HALF;
}

function finite(number) {
  return Number.isFinite(number) ? number : null;
}

/** What a bucket stands for, as a person reads it. */
function bucketLabel(definition, place) {
  const bound = definition.bounds[place];
  if (definition.kind === "boolean") return ["false", "true", "other"][place];
  if (definition.kind === "flag") return ["not set", "set", "other"][place];
  if (definition.kind === "enumerated" && place === definition.bounds.length - 1) return "other";
  return formatNumber(bound);
}

/** A number with at most so many significant digits after the thousands are set apart. */
function formatNumber(number) {
  if (number === null || number === undefined) return "";
  if (Number.isInteger(number) || Math.abs(number) >= 1000) {
    return Math.round(number).toLocaleString("en-US");
  }
  return number.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

/** A share as percent. */
function formatShare(share) {
  const percent = share * 100;
  return `${percent.toLocaleString("en-US", { maximumFractionDigits: percent < 1 ? 3 : 1 })}%`;
}
