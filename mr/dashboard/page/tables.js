/* The same numbers as tables, as statistics, and as files to take away. */
"use strict";

/** A table with a caption for those who cannot see where it stands. */
function table(caption, head, rows) {
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", { class: "hidden" }, caption),
      element(
        "thead",
        {},
        element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name))),
      ),
      element(
        "tbody",
        {},
        ...rows.map(([first, ...rest]) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, first),
            ...rest.map((cell) => element("td", {}, cell)),
          ),
        ),
      ),
    ),
  );
}

/** What can be said of each series' distribution; what means nothing, or is not known, is not. */
function summaryTable(series) {
  const number = (of) => (one) => formatNumber(of(one));
  const known = [
    ["submissions", number((one) => one.submissions)],
    ["values", number((one) => one.count)],
  ];
  const { definition } = series[0];
  if (definition.kind === "boolean" || definition.kind === "flag") {
    known.push([
      `share of ${bucketLabel(definition, 1)}`,
      (one) => (one.count > 0 ? formatShare(one.share(1)) : ""),
    ]);
  }
  if (!definition.isCategorical) {
    known.push(
      ["mean", number((one) => one.mean)],
      ["standard deviation", number((one) => one.standardDeviation)],
      ["geometric mean", number((one) => one.geometricMean)],
      ["geometric standard deviation", number((one) => one.geometricStandardDeviation)],
      ...PERCENTILES.map((p) => [
        p === 50 ? "median (estimated)" : `${p}th percentile (estimated)`,
        number((one) => one.percentile(p)),
      ]),
    );
  }
  const rows = known
    .map(([name, of]) => [name, ...series.map((one) => of(one.total))])
    .filter(([, ...cells]) => cells.some(Boolean));
  if (series.length === 1) {
    return element(
      "dl",
      { class: "statistics" },
      ...rows.map(([name, value]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, value)),
      ),
    );
  }
  return table("Statistics", ["statistic", ...series.map((one) => one.label)], rows);
}

/** Rows of the distribution, each bucket of each series: what is exported, and shown. */
function distributionRows(series) {
  return series.flatMap((one) => {
    const { ends, cumulative } = one.total;
    return one.definition.bounds.map((start, place) => ({
      series: one.label,
      start,
      end: ends[place],
      count: one.total.counts[place],
      share: one.total.share(place),
      cumulative: cumulative[place],
    }));
  });
}

/** Rows of the values over time, each day of each series. */
function evolutionRows(series, choice) {
  const statistics = statisticsOf(series[0].definition, series);
  return series.flatMap((one) =>
    [...one.days]
      .filter(([day]) => isWithin(day, choice))
      .map(([day, distribution]) => ({
        series: one.label,
        date: dashed(day),
        submissions: distribution.submissions,
        values: distribution.count,
        ...Object.fromEntries(
          statistics.map(({ label, of }) => [label.replace(" (estimated)", ""), of(distribution)]),
        ),
      })),
  );
}

/** Rows of objects as a table; series are named where there are several. */
function rowsTable(caption, rows, isAlone, formats = {}) {
  const names = Object.keys(rows[0] ?? {}).filter((name) => !(isAlone && name === "series"));
  const format = (name, value) =>
    typeof value === "string" ? value : (formats[name] ?? formatNumber)(value);
  return table(
    caption,
    names,
    rows.map((row) => names.map((name) => format(name, row[name]))),
  );
}

/** Rows as CSV, by RFC 4180. */
function toCsv(rows) {
  const names = Object.keys(rows[0] ?? {});
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((cells) => `${cells.map(cell).join(",")}\r\n`)
    .join("");
}

/** Give the person a file. */
function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
