/* What the numbers cover, and what not: shown, never hidden. */
"use strict";

/** Examples that are listed of many. */
const EXAMPLES = 20;

/** Show what the chosen versions' folders say that they cover, and gaps of what is shown. */
function showCoverage(place, found, series) {
  const warnings = [];
  const lines = [];
  const several = found.length > 1;
  for (const { version, measure } of found) {
    const of = several ? `${version.name}: ` : "";
    const { coverage } = version;
    if (coverage === null) {
      lines.push(`${of}the folder does not say what it covers.`);
      continue;
    }
    const blocks = coverage.blocks ?? {};
    const records = coverage.records ?? {};
    lines.push(
      `${of}${plural(records.read, "record")} of ${plural(blocks.processed, "block")}.`,
    );
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
    const other = coverage.measures?.mismatches?.[measure];
    if (other) {
      warnings.push(
        `${of}some builds have other buckets of ${measure}, and are left out: ${shortJson(other)}.`,
      );
    }
    for (const [reason, measures] of Object.entries(coverage.skipped ?? {})) {
      if (measures?.[measure]) {
        warnings.push(`${of}${plural(measures[measure], "array")} of ${measure} skipped: ${reason}.`);
      }
    }
  }
  for (const one of series) {
    const days = coverageOfDays([...one.days.keys()]);
    if (days.there < days.all) {
      const of = series.length > 1 ? `${one.label}: ` : "";
      lines.push(
        `${of}data of ${days.there} of ${plural(days.all, "day")}; dashes lead over the others.`,
      );
    }
  }
  place.hidden = false;
  place.replaceChildren(
    ...warnings.map((text) => element("p", { class: "warning" }, text)),
    element(
      "details",
      { open: lines.length < 4 },
      element("summary", {}, "What the numbers cover"),
      element("ul", {}, ...lines.map((text) => element("li", {}, text))),
    ),
  );
}

function plural(number, name) {
  return `${formatNumber(number ?? 0)} ${name}${number === 1 ? "" : "s"}`;
}

function examplesOf(list) {
  const told = list
    .slice(0, EXAMPLES)
    .map((one) => (typeof one === "string" ? one : Object.values(one).join(": ")));
  return `${told.join("; ")}${list.length > EXAMPLES ? "; and more." : "."}`;
}

function shortJson(value) {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
