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
  const made = (kind, bounds) => {
    const isCategorical = CATEGORICAL.includes(kind);
    const description = typeof raw.description === "string" ? raw.description : "";
    const categories = isCategorical ? bounds.map((_, place) => categoryOf(kind, bounds, place)) : [];
    const places = new Map(categories.map(({ key }, place) => [key, place]));
    return { kind, bounds, description, isCategorical, categories, places };
  };
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

/** What a bucket of categories stands for: `key` in links, `label` for people. */
function categoryOf(kind, bounds, place) {
  const key = String(bounds[place]);
  if (kind === "boolean") return { key, label: ["false", "true", "other"][place] };
  if (kind === "flag") return { key, label: ["not set", "set", "other"][place] };
  if (place === bounds.length - 1) return { key: "other", label: "other" };
  return { key, label: formatNumber(bounds[place]) };
}

/**
 * The sum of some rows of one measure. A statistic is null where no row tells it; where some do, it
 * is that of their values.
 */
class Distribution {
  constructor(definition, rows) {
    const size = definition.bounds.length;
    this.definition = definition;
    this.counts = new Array(size).fill(0);
    this.submissions = 0;
    this.sum = this.logSum = this.logSumSquares = this.sumSquares = null;
    /** Over how many values each sum goes; and of the rows that tell squares too, both sums. */
    this.told = { sum: 0, logSum: 0, squares: moments(), logSquares: moments() };
    const plus = (name, value) => {
      if (value !== -1) this[name] = (this[name] ?? 0) + value;
    };
    for (const row of rows) {
      let values = 0;
      for (let place = 0; place < size; place++) {
        this.counts[place] += row[place];
        values += row[place];
      }
      const [sum, logSum, logSumSquares, low, high, submissions] = row.slice(size);
      const sumSquares = squaresOf(low, high, submissions);
      plus("sum", sum);
      plus("logSum", logSum);
      plus("logSumSquares", logSumSquares);
      plus("sumSquares", sumSquares);
      const hasSum = sum !== -1;
      // Some measures of the client say 0 instead of absent.
      const hasLogs = logSum !== -1 && !(hasSum && sum !== 0 && logSum === 0);
      if (hasSum) this.told.sum += values;
      if (hasLogs) this.told.logSum += values;
      if (hasSum && sumSquares !== -1) addMoments(this.told.squares, values, sum, sumSquares);
      if (hasLogs && logSumSquares !== -1) {
        addMoments(this.told.logSquares, values, logSum, logSumSquares);
      }
      this.submissions += submissions;
    }
    for (const name of ["sum", "logSum", "logSumSquares", "sumSquares"]) {
      this[name] = this[name] === null ? null : finite(this[name]);
    }
    this.count = this.counts.reduce((total, number) => total + number, 0);
  }

  /** The upper end of each bucket; that of the last is estimated from the mean of its values. */
  get ends() {
    const { bounds } = this.definition;
    const last = bounds.length - 1;
    const ends = [...bounds.slice(1), 0];
    const start = bounds[last];
    let others = 0;
    for (let place = 0; place < last; place++) {
      others += (this.counts[place] * (bounds[place] + ends[place])) / 2;
    }
    const isTold = this.sum !== null && this.told.sum > 0 && this.counts[last] > 0;
    // A sum of a part of the values stands for all of them.
    const all = this.sum * (this.count / this.told.sum);
    const mean = isTold ? finite((all - others) / this.counts[last]) : null;
    const width = start - bounds[last - 1];
    ends[last] = mean === null ? start + width : Math.max(2 * mean - start, start);
    return ends;
  }

  get mean() {
    return this.sum === null || this.told.sum <= 0 ? null : finite(this.sum / this.told.sum);
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
    return deviationOf(this.told.squares);
  }

  /** exp(mean of ln(x+1)) - 1, so that zeros count. */
  get geometricMean() {
    if (this.logSum === null || this.told.logSum <= 0) return null;
    return finite(Math.exp(this.logSum / this.told.logSum) - 1);
  }

  get geometricStandardDeviation() {
    const deviation = deviationOf(this.told.logSquares);
    return deviation === null ? null : finite(Math.exp(deviation));
  }

  /** The share of the values in a bucket, 0 to 1. */
  share(place) {
    return this.count > 0 ? this.counts[place] / this.count : 0;
  }

  /** How many values are in a category; null where the definition has no such. */
  countOf(key) {
    const place = this.definition.places.get(key);
    return place === undefined ? null : this.counts[place];
  }

  /** The share of a category; null where the definition has no such, or there are no values. */
  shareOf(key) {
    const count = this.countOf(key);
    return count === null || this.count <= 0 ? null : count / this.count;
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

/** Values, their sum, and the sum of their squares. */
function moments() {
  return { count: 0, sum: 0, squares: 0 };
}
function addMoments(to, count, sum, squares) {
  to.count += count;
  to.sum += sum;
  to.squares += squares;
}

/** The standard deviation of the values behind two sums; null if there are none. */
function deviationOf({ count, sum, squares }) {
  if (count <= 0) return null;
  return finite(Math.sqrt(Math.max(squares / count - (sum / count) ** 2, 0)));
}

function finite(number) {
  return Number.isFinite(number) ? number : null;
}

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });
/** From here on a number is written by its power of ten. */
const HUGE = 1e15;

/** A number with at most so many significant digits after the thousands are set apart. */
function formatNumber(number) {
  if (number === null || number === undefined) return "";
  if (Math.abs(number) >= HUGE) {
    return Number(number.toPrecision(4)).toExponential().replace("e+", "e");
  }
  if (Number.isInteger(number) || Math.abs(number) >= 1000) return WHOLE.format(number);
  return SHORT.format(number);
}

/** A number of things: "1 block", "2 blocks". */
function plural(number, name) {
  return `${formatNumber(number)} ${name}${number === 1 ? "" : "s"}`;
}

/** A share as percent. */
function formatShare(share) {
  const percent = share * 100;
  return `${percent.toLocaleString("en-US", { maximumFractionDigits: percent < 1 ? 3 : 1 })}%`;
}
