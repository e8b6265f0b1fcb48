/* The same numbers as statistics, as tables, and as rows of files. */
"use strict";

/** What a table of the page holds at most; files hold all. */
const MOST_ROWS = 500;
const MOST_COLUMNS = 40;

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
      `share of ${definition.categories[1].label}`,
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
    const { isCategorical, categories } = one.definition;
    return one.definition.bounds.map((start, place) => ({
      series: one.label,
      ...(isCategorical ? { value: categories[place].label } : {}),
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
  const statistics = statisticsOf(series, choice);
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

/** A table of rows of objects, as far as a page can hold it; series are named where there are more. */
function rowsTable(caption, rows, isAlone, formats = {}, note = "") {
  const all = Object.keys(rows[0] ?? {}).filter((name) => !(isAlone && name === "series"));
  const names = all.slice(0, MOST_COLUMNS);
  const format = (name, value) =>
    typeof value === "string" ? value : (formats[name] ?? formatNumber)(value);
  const notes = [note];
  if (rows.length > MOST_ROWS || all.length > MOST_COLUMNS) {
    const shownRows = Math.min(rows.length, MOST_ROWS);
    notes.push(
      `${formatNumber(shownRows)} of ${plural(rows.length, "row")} and ` +
        `${names.length} of ${plural(all.length, "column")} are shown: the CSV has all.`,
    );
  }
  return element(
    "div",
    { class: "made" },
    element("p", { class: "help" }, notes.filter(Boolean).join(" ")),
    table(
      caption,
      names,
      rows.slice(0, MOST_ROWS).map((row) => names.map((name) => format(name, row[name]))),
    ),
  );
}

/** The values over time as a table. */
function evolutionTable({ choice, series }) {
  const share = (value) => (value === null ? "" : formatShare(value));
  const shares = series[0].definition.isCategorical
    ? Object.fromEntries(statisticsOf(series, choice).map(({ label }) => [label, share]))
    : {};
  const rows = evolutionRows(series, choice);
  return rowsTable(`${choice.measure} over time`, rows, series.length === 1, shares);
}

/** The distribution as a table, without the buckets that are empty in all series. */
function distributionTable({ choice, series }) {
  const { isCategorical } = series[0].definition;
  const nameOf = (row) => (isCategorical ? row.value : row.start);
  const all = distributionRows(series);
  const filled = new Set(all.filter((row) => row.count > 0).map(nameOf));
  const empty = new Set(all.map(nameOf)).size - filled.size;
  const rows = all
    .filter((row) => filled.has(nameOf(row)))
    .map(({ series: label, value, start, end, ...rest }) => ({
      ...(isCategorical ? { value } : { start, end }),
      ...rest,
      series: label,
    }));
  return rowsTable(
    `${choice.measure}, distribution`,
    rows,
    series.length === 1,
    { share: formatShare, cumulative: formatShare },
    empty ? `${plural(empty, "empty bucket")} left out.` : "",
  );
}
