/* What the numbers cover, and what not: shown, never hidden. */
"use strict";

/** Examples that are listed of many. */
const EXAMPLES = 20;

/** Show what the chosen versions' folders say that they cover, and gaps of what is shown. */
function showCoverage(place, found, series, choice) {
  const told = found.map(({ version, measure }) =>
    coverageOfVersion(version, measure, found.length > 1 ? `${version.name}: ` : ""),
  );
  const warnings = told.flatMap((one) => one.warnings);
  const lines = told.flatMap((one) => one.lines);
  const gaps = gapsOf(series, choice);
  const isOpen = place.querySelector("details")?.open ?? lines.length < 4;
  place.hidden = false;
  place.replaceChildren(
    ...warnings.map((text) => element("p", { class: "warning" }, text)),
    ...(gaps ? [element("p", { class: "gap" }, gaps)] : []),
    element(
      "details",
      { open: isOpen },
      element("summary", {}, "What the numbers cover"),
      element("ul", {}, ...lines.map((text) => element("li", {}, text))),
    ),
  );
}

/** How many days of the dates chosen have data, in a sentence; "" if all have. */
function gapsOf(series, choice) {
  const told = series
    .map((one) => ({ ...coverageOfDays([...one.days.keys()], choice), label: one.label }))
    .filter(({ there, all }) => there < all)
    .map(({ there, all, label }) =>
      `${there} of ${plural(all, "day")}${series.length > 1 ? ` of ${label}` : ""}`,
    );
  return told.length ? `There is data of ${told.join(", ")}; dashes lead over the others.` : "";
}

/** What a version's folder says of itself, each sentence after `of`: {warnings, lines}. */
function coverageOfVersion({ coverage }, measure, of) {
  const warnings = [];
  const lines = [];
  if (coverage === null) {
    lines.push(`${of}the folder does not say what it covers.`);
    return { warnings, lines };
  }
  const [blocks, records] = [objectOf(coverage.blocks), objectOf(coverage.records)];
  const known = [
    Number.isFinite(records.read) ? plural(records.read, "record") : "",
    Number.isFinite(blocks.processed) ? plural(blocks.processed, "block") : "",
  ].filter(Boolean);
  lines.push(`${of}${known.join(" of ") || "the folder does not say how many records it covers"}.`);
  if (records.left_out) {
    lines.push(
      `${of}${plural(records.left_out, "record")} left out, without a system, version or architecture.`,
    );
  }
  if (records.bad) warnings.push(`${of}${plural(records.bad, "bad record")} skipped.`);
  for (const [name, what] of [
    ["bad", "damaged, read up to the damage"],
    ["unread", "not read"],
  ]) {
    const list = Array.isArray(blocks[name]) ? blocks[name] : [];
    if (list.length) {
      warnings.push(`${of}${plural(list.length, "block")} ${what}: ${examplesOf(list)}`);
    }
  }
  const other = objectOf(objectOf(coverage.measures).mismatches)[measure];
  if (other) {
    warnings.push(
      `${of}some builds have other buckets of ${measure}, and are left out: ${shortJson(other)}.`,
    );
  }
  for (const [reason, measures] of Object.entries(objectOf(coverage.skipped))) {
    const number = objectOf(measures)[measure];
    if (number) warnings.push(`${of}${plural(number, "array")} of ${measure} skipped: ${reason}.`);
  }
  return { warnings, lines };
}

/** A JSON object; {} for anything else. */
function objectOf(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

function examplesOf(list) {
  const told = list
    .slice(0, EXAMPLES)
    .map((one) => (typeof one === "string" ? one : Object.values(one ?? {}).join(": ")));
  return `${told.join("; ")}${list.length > EXAMPLES ? "; and more." : "."}`;
}

function shortJson(value) {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
