/* The three plots, drawn by Chart.js: over time, submissions, distribution. */
"use strict";

const DAY_MS = 86400000;
/** The room left of the plots over time, so that their dates stand below each other. */
const LEFT_PX = 64;
/** Over so many days each label is a day. */
const MOST_DAYS_NAMED = 150;
/** A drag shorter than this is a click. */
const DRAG_PX = 6;

/** Plots by the id of their canvas. */
const plots = new Map();

/** A colour of the style sheet, by its name there. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The colour of a series, and the same let through. */
function seriesColour(place) {
  return colour(`series-${place % MOST_SERIES}`);
}
function faint(hex, share) {
  return hex + Math.round(share * 255).toString(16).padStart(2, "0");
}

function draw(id, config, description) {
  plots.get(id)?.destroy();
  const canvas = document.getElementById(id);
  canvas.setAttribute("aria-label", description);
  plots.set(id, new Chart(canvas, config));
}

/** What all plots have in common. */
function commonOptions() {
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    normalized: true,
    interaction: { mode: "index", intersect: false },
    plugins: {
      legend: {
        position: "bottom",
        align: "start",
        labels: { color: colour("text"), boxWidth: 16, boxHeight: 5 },
      },
      tooltip: { backgroundColor: colour("tip"), padding: 10, titleColor: "#fff", bodyColor: "#fff" },
    },
  };
}

function axis(more = {}) {
  return {
    grid: { color: colour("grid") },
    border: { color: colour("axis") },
    ...more,
    ticks: { color: colour("muted"), maxRotation: 0, autoSkipPadding: 14, ...more.ticks },
    title: { display: Boolean(more.title), color: colour("muted"), text: more.title },
  };
}

/** Give a vertical axis the room that the one of the other plot over time has. */
function fixedWidth(scale) {
  scale.width = LEFT_PX;
}

/** The axis of dates, over these days at least. */
function dateAxis(range) {
  return axis({
    type: "time",
    min: range.min,
    max: range.max,
    time: {
      tooltipFormat: "yyyy-MM-dd",
      minUnit: "day",
      // Of longer times the library finds the unit.
      unit: range.max - range.min < MOST_DAYS_NAMED * DAY_MS ? "day" : undefined,
      displayFormats: { day: "d MMM", week: "d MMM" },
    },
  });
}

/** From the middle of the day before the first to that after the last. */
function rangeOf(first, last) {
  return { min: parseDay(first).getTime() - DAY_MS / 2, max: parseDay(last).getTime() + DAY_MS / 2 };
}

/** Whether no day is missing between the two ends of a line's segment. */
function isGap(segment) {
  return segment.p1.parsed.x - segment.p0.parsed.x > 1.5 * DAY_MS;
}

/** A line over days, broken into dashes where days are missing. */
function line(label, points, hex, more = {}) {
  return {
    type: "line",
    label,
    data: points,
    borderColor: hex,
    backgroundColor: hex,
    borderWidth: 2,
    pointRadius: points.length > 120 ? 0 : 2.5,
    pointHoverRadius: 4,
    segment: {
      borderDash: (segment) => (isGap(segment) ? [3, 4] : more.borderDash),
      borderColor: (segment) => (isGap(segment) ? faint(hex, 0.4) : undefined),
    },
    ...more,
  };
}

/** An edge of a band: no line, and filled up to the dataset before if it is the upper one. */
function edge(label, points, hex, isUpper, strength) {
  // A single day has no width to be filled.
  const marks = { pointRadius: points.length === 1 ? 6 : 0, pointStyle: "line", borderWidth: 0 };
  return {
    ...line(label, points, hex, { ...marks, pointBorderWidth: 2, pointHoverRadius: 0 }),
    backgroundColor: faint(hex, strength),
    fill: isUpper ? "-1" : false,
    segment: {
      backgroundColor: (segment) => faint(hex, isGap(segment) ? strength / 3 : strength),
    },
    isBand: true,
  };
}

/**
 * Values over time. Of one series of amounts: mean, median and two bands of percentiles; else of
 * each series the statistic that was chosen.
 */
function drawEvolution(series, statistic, choice, range) {
  const isLog = choice.scale === "log";
  const points = (one, of) =>
    [...one.days]
      .filter(([day]) => isWithin(day, choice))
      .map(([day, distribution]) => ({ x: parseDay(day).getTime(), y: of(distribution) }))
      .filter(({ y }) => y !== null && !(isLog && y <= 0));
  let datasets;
  const isAlone = series.length === 1 && !series[0].definition.isCategorical;
  if (isAlone) {
    const [one] = series;
    const [hex, other] = [seriesColour(0), seriesColour(1)];
    const at = (p) => points(one, (distribution) => distribution.percentile(p));
    datasets = [
      line("mean", points(one, (distribution) => distribution.mean), other, { borderDash: [6, 3] }),
      line("median", at(50), hex),
      edge("25th percentile", at(25), hex, false, 0.3),
      edge("75th percentile", at(75), hex, true, 0.3),
      edge("5th percentile", at(5), hex, false, 0.12),
      edge("95th percentile", at(95), hex, true, 0.12),
    ];
  } else {
    datasets = series.map((one, place) =>
      line(one.label, points(one, statistic.of), seriesColour(place)),
    );
  }
  const options = commonOptions();
  const format = (value) => (statistic.isShare ? formatShare(value) : formatNumber(value));
  options.scales = {
    x: dateAxis(range),
    y: axis({
      type: isLog ? "logarithmic" : "linear",
      afterFit: fixedWidth,
      beginAtZero: true,
      ticks: { callback: format },
      title: isAlone ? "value" : statistic.label,
    }),
  };
  const bands = { "25th percentile": null, "5th percentile": null };
  options.plugins.legend.labels.filter = (item) => !(isAlone && item.text in bands);
  const names = {
    median: "median (estimated)",
    "75th percentile": "25th to 75th percentile (estimated)",
    "95th percentile": "5th to 95th percentile (estimated)",
  };
  options.plugins.legend.labels.generateLabels = (chart) =>
    Chart.defaults.plugins.legend.labels.generateLabels(chart).map((item) => ({
      ...item,
      lineDash: [],
      text: (isAlone && names[item.text]) || item.text,
    }));
  // A band goes with both of its edges.
  options.plugins.legend.onClick = (event, item, legend) => {
    const { chart } = legend;
    const places = [item.datasetIndex];
    if (datasets[item.datasetIndex].isBand) places.push(item.datasetIndex - 1);
    const isVisible = chart.isDatasetVisible(item.datasetIndex);
    for (const place of places) chart.setDatasetVisibility(place, !isVisible);
    chart.update();
  };
  options.plugins.tooltip.callbacks = {
    label: (item) => `${item.dataset.label}: ${format(item.parsed.y)}`,
    footer: (items) => {
      const day = formatDay(new Date(items[0].parsed.x));
      return series
        .filter((one) => one.days.has(day))
        .map((one) => {
          const number = formatNumber(one.days.get(day).submissions);
          return `${series.length > 1 ? `${one.label}: ` : ""}${number} submissions`;
        });
    },
  };
  draw("evolution-plot", { data: { datasets }, options }, describeEvolution(series, statistic));
}

function describeEvolution(series, statistic) {
  const told = series.map((one) => {
    const days = [...one.days.keys()];
    const name = series.length > 1 ? `${one.label}: ` : "";
    return `${name}${days.length} days from ${dashed(days[0])} to ${dashed(days.at(-1))}`;
  });
  return `${statistic.label} over time. ${told.join("; ")}. The table below has the numbers.`;
}

/** Submissions of all days; those outside of the dates chosen are faint. */
function drawSubmissions(series, choice, range) {
  const datasets = series.map((one, place) => {
    const hex = seriesColour(place);
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
  const options = commonOptions();
  options.plugins.legend.display = false;
  options.plugins.tooltip.callbacks = {
    label: (item) => `${series.length > 1 ? `${item.dataset.label}: ` : ""}${formatNumber(item.raw.y)}`,
  };
  options.scales = {
    x: { ...dateAxis(range), stacked: true, offset: false },
    y: axis({
      afterFit: fixedWidth,
      stacked: true,
      beginAtZero: true,
      ticks: { maxTicksLimit: 4, precision: 0, callback: formatNumber },
    }),
  };
  const total = series.reduce((sum, one) => sum + one.total.submissions, 0);
  draw(
    "submissions-plot",
    { data: { datasets }, options },
    `Submissions by day, ${formatNumber(total)} in the dates chosen.`,
  );
}

/** The buckets that are drawn: from one before the first that holds anything to one after. */
function drawnBounds(series) {
  const all = [...new Set(series.flatMap((one) => one.definition.bounds))].sort((a, b) => a - b);
  const filled = new Set(
    series.flatMap((one) =>
      one.definition.bounds.filter((_, place) => one.total.counts[place] > 0),
    ),
  );
  const places = all.map((_, place) => place).filter((place) => filled.has(all[place]));
  if (!places.length) return { bounds: all, left: 0 };
  const isCategorical = series[0].definition.isCategorical;
  const first = isCategorical ? 0 : Math.max(0, places[0] - 1);
  const last = Math.min(all.length, places.at(-1) + 2);
  return { bounds: all.slice(first, last), left: all.length - (last - first) };
}

/** Whether all series have the same buckets. */
function haveSameBuckets(series) {
  const first = series[0].definition.bounds.join();
  return series.every((one) => one.definition.bounds.join() === first);
}

/** What is drawn of a bucket: a share, or a count. */
function heights(distribution, show) {
  if (show === "count") return distribution.counts;
  if (show === "cumulative") return distribution.cumulative;
  return distribution.counts.map((_, place) => distribution.share(place));
}

function drawDistribution(series, choice) {
  const { bounds } = drawnBounds(series);
  const { definition } = series[0];
  const label = (bound) => {
    const owner = series.find((one) => one.definition.bounds.includes(bound)).definition;
    return bucketLabel(owner, owner.bounds.indexOf(bound));
  };
  const asLines = choice.show === "cumulative" || series.length > 3;
  const datasets = series.map((one, place) => {
    const values = heights(one.total, choice.show);
    const at = new Map(one.definition.bounds.map((bound, bucket) => [bound, values[bucket]]));
    const hex = seriesColour(place);
    return {
      type: asLines ? "line" : "bar",
      label: one.label,
      data: bounds.map((bound) => at.get(bound) ?? null),
      borderColor: hex,
      backgroundColor: asLines ? hex : faint(hex, 0.85),
      stepped: asLines ? "middle" : undefined,
      spanGaps: true,
      borderWidth: asLines ? 2 : 0,
      pointRadius: 0,
      categoryPercentage: 0.92,
      barPercentage: 0.96,
    };
  });
  const options = commonOptions();
  options.plugins.legend.display = series.length > 1;
  const isShare = choice.show !== "count";
  options.plugins.tooltip.callbacks = {
    title: (items) => bucketRange(definition, bounds, items[0].dataIndex),
    label: (item) => {
      const one = series[item.datasetIndex];
      const bucket = one.definition.bounds.indexOf(bounds[item.dataIndex]);
      const value = isShare ? formatShare(item.parsed.y) : formatNumber(item.parsed.y);
      const name = series.length > 1 ? `${one.label}: ` : "";
      const count = isShare ? ` (${formatNumber(one.total.counts[bucket])} values)` : "";
      return `${name}${value}${count}`;
    },
  };
  options.scales = {
    x: { ...axis({ type: "category", title: definition.isCategorical ? "" : "value" }) },
    y: axis({
      beginAtZero: true,
      max: choice.show === "cumulative" ? 1 : undefined,
      ticks: { callback: isShare ? (value) => formatShare(value) : formatNumber },
      title: { count: "values", percent: "share of the values", cumulative: "values up to here" }[
        choice.show
      ],
    }),
  };
  const told = series.map((one) => `${one.label}: ${formatNumber(one.total.count)} values`);
  draw(
    "distribution-plot",
    { data: { labels: bounds.map(label), datasets }, options },
    `Distribution, ${choice.show}. ${told.join("; ")}. The table below has the numbers.`,
  );
}

/** A bucket in words: "10 to under 32". */
function bucketRange(definition, bounds, place) {
  if (definition.isCategorical) return bucketLabel(definition, definition.bounds.indexOf(bounds[place]));
  const next = definition.bounds[definition.bounds.indexOf(bounds[place]) + 1];
  const start = formatNumber(bounds[place]);
  return next === undefined ? `${start} and more` : `${start} to under ${formatNumber(next)}`;
}

/** Let a person choose dates by dragging over a plot; `onChoose(from, to)` gets days. */
function chooseByDragging(id, onChoose) {
  const canvas = document.getElementById(id);
  const shade = element("div", { class: "shade", hidden: true });
  canvas.parentElement.append(shade);
  let start = null;
  const within = (event) => {
    const area = plots.get(id).chartArea;
    const x = event.clientX - canvas.getBoundingClientRect().left;
    return Math.max(area.left, Math.min(x, area.right));
  };
  const show = (from, to) => {
    const area = plots.get(id).chartArea;
    shade.hidden = false;
    shade.style.left = `${Math.min(from, to)}px`;
    shade.style.width = `${Math.abs(to - from)}px`;
    shade.style.top = `${area.top}px`;
    shade.style.height = `${area.bottom - area.top}px`;
  };
  const stop = () => {
    start = null;
    shade.hidden = true;
  };
  canvas.addEventListener("pointerdown", (event) => {
    const area = plots.get(id)?.chartArea;
    if (!area || event.button !== 0 || event.offsetY > area.bottom) return;
    start = within(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (start !== null) show(start, within(event));
  });
  canvas.addEventListener("pointercancel", stop);
  canvas.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const ends = [start, within(event)].sort((one, other) => one - other);
    stop();
    if (ends[1] - ends[0] < DRAG_PX) return;
    const scale = plots.get(id).scales.x;
    // A day is touched when its middle is.
    const [from, to] = ends.map((x) => new Date(scale.getValueForPixel(x)));
    const first = new Date(from.getTime() + DAY_MS / 2 - 1);
    const last = new Date(to.getTime() + DAY_MS / 2);
    onChoose(formatDay(first), formatDay(last));
  });
}
