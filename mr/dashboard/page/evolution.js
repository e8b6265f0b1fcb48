/* The plots over time: values, and submissions. */
"use strict";

/** Of each series the days chosen, in order, and what is told of them. */
function pointsOf(one, of, choice) {
  return [...one.days]
    .filter(([day]) => isWithin(day, choice))
    .map(([day, distribution]) => ({ x: parseDay(day).getTime(), y: of(distribution) }));
}

/** Mean, median and two bands of percentiles of one series, and its legend. */
function bandsOf(one, choice) {
  const [hex, other] = [seriesColour(one.place), seriesColour(one.place + 1)];
  const at = (p) => pointsOf(one, (distribution) => distribution.percentile(p), choice);
  const mean = pointsOf(one, (distribution) => distribution.mean, choice);
  return {
    datasets: [
      line("mean", mean, other, { borderDash: [6, 3] }),
      line("median", at(50), hex),
      edge("25th percentile", at(25), hex, false, 0.3),
      edge("75th percentile", at(75), hex, true, 0.3),
      edge("5th percentile", at(5), hex, false, 0.12),
      edge("95th percentile", at(95), hex, true, 0.12),
    ],
    items: [
      { label: "mean", hex: other, places: [0] },
      { label: "median (estimated)", hex, places: [1] },
      { label: "25th to 75th percentile (estimated)", hex: faint(hex, 0.5), places: [2, 3] },
      { label: "5th to 95th percentile (estimated)", hex: faint(hex, 0.25), places: [4, 5] },
    ],
  };
}

/** The statistic of each series, and their legend. */
function linesOf(series, statistic, choice) {
  return {
    datasets: series.map((one) =>
      line(one.label, pointsOf(one, statistic.of, choice), seriesColour(one.place)),
    ),
    items: series.map((one, place) => ({
      label: one.label,
      hex: seriesColour(one.place),
      places: [place],
    })),
  };
}

/**
 * Values over time. Of one series of amounts: mean, median and two bands of percentiles; else of
 * each series the statistic that was chosen. Returns how many points the scale cannot show.
 */
function drawEvolution(series, statistic, choice, range) {
  const isLog = choice.scale === "log" && !series[0].definition.isCategorical;
  const isAlone = series.length === 1 && !series[0].definition.isCategorical;
  const { datasets, items } = isAlone
    ? bandsOf(series[0], choice)
    : linesOf(series, statistic, choice);
  let left = 0;
  if (isLog) {
    for (const { data } of datasets) {
      for (const point of data) {
        if (point.y === null || point.y > 0) continue;
        point.y = null;
        left++;
      }
    }
  }
  const format = (value) => (statistic.isShare ? formatShare(value) : formatNumber(value));
  const options = timeOptions(range);
  options.scales.y = timeValues({
    type: isLog ? "logarithmic" : "linear",
    beginAtZero: true,
    ticks: { callback: format },
    title: isAlone ? "value" : statistic.label,
  });
  options.plugins.tooltip.filter = (item) => item.parsed.y !== null && !Number.isNaN(item.parsed.y);
  options.plugins.tooltip.callbacks = {
    label: (item) => `${item.dataset.label}: ${format(item.parsed.y)}`,
    footer: (shownItems) => {
      if (!shownItems.length) return [];
      const day = formatDay(new Date(shownItems[0].parsed.x));
      return series
        .filter((one) => one.days.has(day))
        .map((one) => {
          const number = plural(one.days.get(day).submissions, "submission");
          return series.length > 1 ? `${one.label}: ${number}` : number;
        });
    },
  };
  const what = isAlone ? "Mean, median and percentiles" : statistic.label;
  draw("evolution-plot", { data: { datasets }, options }, describeEvolution(series, what, choice));
  drawLegend("evolution-legend", "evolution-plot", items);
  return left;
}

function describeEvolution(series, what, choice) {
  const told = series.map((one) => {
    const days = [...one.days.keys()].filter((day) => isWithin(day, choice));
    const name = series.length > 1 ? `${one.label}: ` : "";
    if (!days.length) return `${name}no days`;
    return `${name}${plural(days.length, "day")} from ${dashed(days[0])} to ${dashed(days.at(-1))}`;
  });
  return `${what} over time. ${told.join("; ")}. The table below has the numbers.`;
}

/** Submissions of all days; those outside of the dates chosen are faint. */
function drawSubmissions(series, choice, range) {
  const datasets = series.map((one) => {
    const hex = seriesColour(one.place);
    return {
      type: "bar",
      label: one.label,
      data: [...one.days].map(([day, distribution]) => ({
        x: parseDay(day).getTime(),
        y: distribution.submissions,
      })),
      backgroundColor: [...one.days.keys()].map((day) =>
        isWithin(day, choice) ? hex : faint(hex, 0.25),
      ),
      minBarLength: 2,
      maxBarThickness: 14,
      stack: "all",
    };
  });
  const options = timeOptions(range);
  options.plugins.tooltip.callbacks = {
    label: (item) => `${series.length > 1 ? `${item.dataset.label}: ` : ""}${formatNumber(item.raw.y)}`,
  };
  // Else the library puts the grid of bars between the days.
  const grid = { ...options.scales.x.grid, offset: false };
  options.scales.x = { ...options.scales.x, grid, stacked: true, offset: false };
  options.scales.y = timeValues({
    stacked: true,
    beginAtZero: true,
    ticks: { maxTicksLimit: 4, precision: 0, callback: formatNumber },
  });
  const total = series.reduce((sum, one) => sum + one.total.submissions, 0);
  const names = series.length > 1 ? ` of ${series.map((one) => one.label).join(", ")}` : "";
  draw(
    "submissions-plot",
    { data: { datasets }, options },
    `Submissions by day${names}: ${formatNumber(total)} in the dates chosen.`,
  );
}
