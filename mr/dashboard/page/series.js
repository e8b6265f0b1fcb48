/* From published rows to the series that are drawn: one for each version, or value compared. */
"use strict";

/** More series than these cannot be told apart in a plot. */
const MOST_SERIES = 8;

/** Whether a filter path is one of those chosen; `except` is a level that is not looked at. */
function isChosen(path, filters, except = "") {
  return LEVELS.every(
    (level, place) =>
      level === except || !filters[level].length || filters[level].includes(path[place]),
  );
}

/** Of what was found, in the page's order: what is of the first one's kind, and what is not. */
function ofOneKind(found) {
  const ordered = [...found].sort((one, other) => byVersion(one.version.name, other.version.name));
  const isSame = (one) => one.definition.kind === ordered[0].definition.kind;
  return { compared: ordered.filter(isSame), others: ordered.filter((one) => !isSame(one)) };
}

/**
 * The series of a choice, from `found`: [{version, definition, days}], all of one kind.
 *
 * Each series: label, definition, `days` (YYYYMMDD to Distribution, in order, of all dates),
 * `total`, the Distribution of the dates chosen, and `place`, which says its colour. Returned are those with most submissions, and the
 * number of all.
 */
function seriesOf(found, choice) {
  const all = [];
  for (const { version, definition, days } of found) {
    const compared = LEVELS.indexOf(choice.compare);
    /** Value compared, to day, to rows. */
    const groups = new Map();
    for (const day of Object.keys(days).sort()) {
      for (const row of days[day]) {
        const path = version.paths.get(row[row.length - 1]);
        if (!isChosen(path, choice.filters)) continue;
        const value = compared < 0 ? "" : path[compared];
        if (!groups.has(value)) groups.set(value, new Map());
        const group = groups.get(value);
        if (!group.has(day)) group.set(day, []);
        group.get(day).push(row);
      }
    }
    for (const [value, byDay] of groups) {
      const label = [found.length > 1 || !value ? version.name : "", value].filter(Boolean);
      const within = [...byDay].filter(([day]) => isWithin(day, choice));
      all.push({
        label: label.join(" · "),
        version: version.name,
        value,
        definition,
        days: new Map(
          [...byDay].map(([day, rows]) => [day, new Distribution(definition, rows)]),
        ),
        total: new Distribution(definition, within.flatMap(([, rows]) => rows)),
      });
    }
  }
  const largest = [...all]
    .sort((one, other) => other.total.submissions - one.total.submissions)
    .slice(0, MOST_SERIES);
  const series = all.filter((one) => largest.includes(one));
  series.sort(
    (one, other) => byVersion(one.version, other.version) || byVersion(one.value, other.value),
  );
  series.forEach((one, place) => {
    one.place = place;
  });
  return { series, number: all.length };
}

/** Level, to value, to submissions: with each level's own filter left aside. */
function submissionsByFilter(found, choice) {
  const counts = Object.fromEntries(LEVELS.map((level) => [level, new Map()]));
  for (const { version, days } of found) {
    for (const path of version.paths.values()) {
      LEVELS.forEach((level, place) => {
        if (!counts[level].has(path[place])) counts[level].set(path[place], 0);
      });
    }
    for (const [day, rows] of Object.entries(days)) {
      if (!isWithin(day, choice)) continue;
      for (const row of rows) {
        const path = version.paths.get(row[row.length - 1]);
        LEVELS.forEach((level, place) => {
          if (isChosen(path, choice.filters, level)) {
            const values = counts[level];
            values.set(path[place], values.get(path[place]) + row[row.length - 2]);
          }
        });
      }
    }
  }
  return counts;
}

/**
 * What can be shown over time: [{name, label, of(distribution)}].
 *
 * Of categories it is the share of each that there is, and of the one that was chosen; of amounts
 * the mean and percentiles.
 */
function statisticsOf(series, choice) {
  const { kind, isCategorical } = series[0].definition;
  if (isCategorical) {
    // Of yes and no the share of yes says all.
    const first = kind === "enumerated" ? null : "1";
    return categoriesOf(series)
      .map(({ key, label }) => ({
        name: `share-${key}`,
        label: `share of ${label}`,
        isShare: true,
        of: (distribution) => distribution.shareOf(key),
        isFirst: key === first,
        count: series.reduce((sum, one) => sum + (one.total.countOf(key) ?? 0), 0),
      }))
      .filter((one) => one.count > 0 || one.isFirst || one.name === choice.statistic)
      .sort((one, other) => other.isFirst - one.isFirst || other.count - one.count);
  }
  return [
    { name: "median", label: "median (estimated)", of: (one) => one.percentile(50) },
    { name: "mean", label: "mean", of: (one) => one.mean },
    ...PERCENTILES.filter((p) => p !== 50).map((p) => ({
      name: `p${p}`,
      label: `${p}th percentile (estimated)`,
      of: (one) => one.percentile(p),
    })),
  ];
}
