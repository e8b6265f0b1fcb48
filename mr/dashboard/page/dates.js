/* Days, as YYYYMMDD in the published files, and as people write them. */
"use strict";

const DAY_MS = 86400000;
/** Nothing was built before; what a person has half typed is. */
const FIRST_YEAR = 1970;

/** YYYYMMDD as a Date (midnight here), or null if it is none. */
function parseDay(text) {
  const found = /^(\d{4})(\d{2})(\d{2})$/.exec(text);
  if (!found) return null;
  const [year, month, day] = found.slice(1).map(Number);
  const date = new Date(year, month - 1, day);
  return year >= FIRST_YEAR && date.getMonth() === month - 1 ? date : null;
}

/** A Date as YYYYMMDD. */
function formatDay(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
}

/** YYYYMMDD as people and date fields write it. */
function dashed(day) {
  return `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`;
}

/** Whether a day lies in the dates chosen. */
function isWithin(day, choice) {
  return (!choice.from || day >= choice.from) && (!choice.to || day <= choice.to);
}

/** The dates chosen, as far as there is anything between these two days. */
function windowOf(choice, first, last) {
  return {
    from: choice.from > first ? choice.from : first,
    to: choice.to && choice.to < last ? choice.to : last,
  };
}

/**
 * Of some days in order: how many lie in the dates chosen, and how many days these are, as far as
 * they lie between the first and the last.
 */
function coverageOfDays(days, choice) {
  if (!days.length) return { there: 0, all: 0 };
  const { from, to } = windowOf(choice, days[0], days.at(-1));
  const all = Math.round((parseDay(to) - parseDay(from)) / DAY_MS) + 1;
  return { there: days.filter((day) => isWithin(day, choice)).length, all: Math.max(all, 0) };
}
