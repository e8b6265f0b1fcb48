/*
 * What is shown, and the link that says it: everything a person chose stands after the "#".
 *
 *   #version=nightly/26&measure=GC_MS&by=build&OS=WINNT&OS=Darwin&compare=OS&from=20130801&...
 */
"use strict";

const DEFAULTS = {
  by: "build",
  compare: "",
  from: "",
  to: "",
  statistic: "",
  scale: "",
  show: "percent",
};

/** The choice that a link says; what it leaves out is as usual. */
function choiceOf(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const choice = {
    versions: [...new Set(words.getAll("version"))],
    measure: words.get("measure") ?? "",
    filters: Object.fromEntries(LEVELS.map((level) => [level, words.getAll(level)])),
  };
  for (const [name, usual] of Object.entries(DEFAULTS)) choice[name] = words.get(name) ?? usual;
  if (choice.by !== "submission") choice.by = "build";
  if (!["percent", "count", "cumulative"].includes(choice.show)) choice.show = "percent";
  if (!LEVELS.includes(choice.compare)) choice.compare = "";
  for (const end of ["from", "to"]) if (!parseDay(choice[end])) choice[end] = "";
  return choice;
}

/** The link of a choice, "#" and all. */
function linkOf(choice) {
  const words = new URLSearchParams();
  for (const version of choice.versions) words.append("version", version);
  if (choice.measure) words.set("measure", choice.measure);
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (choice[name] !== usual) words.set(name, choice[name]);
  }
  for (const level of LEVELS) {
    for (const value of choice.filters[level]) words.append(level, value);
  }
  // A "/" needs no escape there, and reads better without.
  return `#${words.toString().replaceAll("%2F", "/")}`;
}

/** "nightly/9" before "nightly/10". */
function byVersion(one, other) {
  return one.localeCompare(other, "en", { numeric: true });
}
