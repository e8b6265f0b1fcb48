/*
 * The plot of the distribution: bars, or lines where bars would hide each other.
 *
 * All series share one axis. Of categories it has each that any series knows, by its label; of
 * amounts each lower bound of any series. What is cumulative is a share below a value, and so it
 * stands at the ends of buckets: there series of different buckets can be compared.
 */
"use strict";

/** The categories of some series together, "other" last: [{key, label}]. */
function categoriesOf(series) {
  const all = new Map();
  for (const { definition } of series) {
    for (const category of definition.categories) all.set(category.key, category);
  }
  // A key that is no number is that of "other".
  const rank = ({ key }) => (Number.isNaN(Number(key)) ? Infinity : Number(key));
  return [...all.values()].sort((one, other) =>
    rank(one) === rank(other) ? 0 : rank(one) - rank(other),
  );
}

/** The bounds that are drawn: from one before the first that holds anything to the end of the last. */
function drawnBounds(series) {
  const all = [...new Set(series.flatMap((one) => one.definition.bounds))].sort((a, b) => a - b);
  let [first, last] = [Infinity, -Infinity];
  for (const { definition, total } of series) {
    definition.bounds.forEach((start, place) => {
      if (total.counts[place] <= 0) return;
      first = Math.min(first, start);
      last = Math.max(last, definition.bounds[place + 1] ?? Infinity);
    });
  }
  if (first > last) return { bounds: all, left: 0, isOpen: true };
  const before = Math.max(0, all.indexOf(first) - 1);
  const bounds = all.filter((bound, place) => place >= before && bound <= last);
  return { bounds, left: all.length - bounds.length, isOpen: last === Infinity };
}

/** Whether all series have the same buckets. */
function haveSameBuckets(series) {
  const first = series[0].definition.bounds.join();
  return series.every((one) => one.definition.bounds.join() === first);
}

/**
 * The axis of a plot: `labels`; `placesOf(one)`, the bucket of a series at each label (undefined
 * where it has none).
 */
function axisOf(series, isCumulative) {
  if (series[0].definition.isCategorical) {
    const categories = categoriesOf(series);
    return {
      labels: categories.map(({ label }) => label),
      placesOf: (one) => categories.map(({ key }) => one.definition.places.get(key)),
    };
  }
  const { bounds, isOpen } = drawnBounds(series);
  if (isCumulative && isOpen) bounds.push(Infinity);
  return {
    labels: bounds.map((bound) => (bound === Infinity ? "∞" : formatNumber(bound))),
    placesOf: ({ definition }) => {
      const starts = isCumulative ? [...definition.bounds.slice(1), Infinity] : definition.bounds;
      const at = new Map(starts.map((bound, place) => [bound, place]));
      // Nothing is below the first bound: the place before the first bucket.
      if (isCumulative) at.set(definition.bounds[0], -1);
      return bounds.map((bound) => at.get(bound));
    },
  };
}

/** What is drawn of a bucket: a share, or a count; null where a series has no such bucket. */
function heightOf(distribution, show) {
  if (show === "count") return (place) => distribution.counts[place] ?? null;
  if (show === "percent") {
    return (place) => (place === undefined ? null : distribution.share(place));
  }
  const { cumulative } = distribution;
  return (place) => (place === -1 ? 0 : (cumulative[place] ?? null));
}

/** A bucket in words: "10 to under 32". */
function bucketRange(definition, place) {
  if (definition.isCategorical) return definition.categories[place].label;
  const [start, next] = [definition.bounds[place], definition.bounds[place + 1]];
  if (next === undefined) return `${formatNumber(start)} and more`;
  return `${formatNumber(start)} to under ${formatNumber(next)}`;
}

function drawDistribution(series, choice) {
  const isCumulative = choice.show === "cumulative";
  const { isCategorical } = series[0].definition;
  const { labels, placesOf } = axisOf(series, isCumulative);
  const places = series.map(placesOf);
  const asLines = isCumulative || series.length > 3;
  const datasets = series.map((one, number) => {
    const hex = seriesColour(one.place);
    return {
      type: asLines ? "line" : "bar",
      label: one.label,
      data: places[number].map(heightOf(one.total, choice.show)),
      borderColor: hex,
      backgroundColor: asLines ? hex : faint(hex, 0.85),
      stepped: asLines && !(isCumulative && !isCategorical) ? "middle" : undefined,
      spanGaps: true,
      borderWidth: asLines ? 2 : 0,
      pointRadius: 0,
      categoryPercentage: 0.92,
      barPercentage: 0.96,
    };
  });
  const options = commonOptions();
  const isShare = choice.show !== "count";
  const rangeOfItem = ({ datasetIndex, dataIndex }) =>
    bucketRange(series[datasetIndex].definition, places[datasetIndex][dataIndex]);
  const isBelow = isCumulative && !isCategorical;
  const rangesOf = (items) => [...new Set(items.map(rangeOfItem))];
  options.plugins.tooltip.filter = ({ datasetIndex, dataIndex }) =>
    places[datasetIndex][dataIndex] !== undefined;
  options.plugins.tooltip.callbacks = {
    title: (items) => {
      if (!items.length) return "";
      if (isBelow) return `below ${labels[items[0].dataIndex]}`;
      return rangesOf(items).join(" / ");
    },
    label: (item) => {
      const { total, label } = series[item.datasetIndex];
      const place = places[item.datasetIndex][item.dataIndex];
      const isMixed = !isBelow && rangesOf(item.chart.tooltip?.dataPoints ?? []).length > 1;
      const name = [series.length > 1 ? label : "", isMixed ? rangeOfItem(item) : ""];
      const before = name.filter(Boolean).join(", ");
      const value = isShare ? formatShare(item.parsed.y) : formatNumber(item.parsed.y);
      const number = isCumulative
        ? total.counts.slice(0, place + 1).reduce((sum, count) => sum + count, 0)
        : total.counts[place];
      const count = isShare ? ` (${plural(number, "value")})` : "";
      return `${before ? `${before}: ` : ""}${value}${count}`;
    },
  };
  const title = isCategorical ? "values up to here" : "share of the values below";
  options.scales = {
    x: { ...axis({ type: "category", title: isCategorical ? "" : "value" }) },
    y: axis({
      beginAtZero: true,
      max: isCumulative ? 1 : undefined,
      ticks: { callback: isShare ? (value) => formatShare(value) : formatNumber },
      title: { count: "values", percent: "share of the values", cumulative: title }[choice.show],
    }),
  };
  const told = series.map((one) => `${one.label}: ${plural(one.total.count, "value")}`);
  draw(
    "distribution-plot",
    { data: { labels, datasets }, options },
    `Distribution, ${choice.show}. ${told.join("; ")}. The table below has the numbers.`,
  );
  const items = series.map((one, number) => ({
    label: one.label,
    hex: seriesColour(one.place),
    places: [number],
  }));
  drawLegend("distribution-legend", "distribution-plot", items.length > 1 ? items : []);
}

/** What the plot does not show, or needs to be known of it, in words. */
function distributionHelp(series) {
  const told = [];
  if (series[0].definition.isCategorical) {
    if (!haveSameBuckets(series)) {
      told.push("The series have different values: what one does not know is in its “other”.");
    }
    return told.join(" ");
  }
  const { left } = drawnBounds(series);
  if (left) told.push(`${plural(left, "empty bucket")} at the ends not drawn.`);
  if (!haveSameBuckets(series)) {
    told.push("The series have different buckets: compare what is cumulative.");
  }
  told.push("Percentiles are estimated within their buckets.");
  return told.join(" ");
}
