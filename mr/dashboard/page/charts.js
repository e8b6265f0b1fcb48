/* What the plots have in common: Chart.js, colours, axes, legends, dates chosen by dragging. */
"use strict";

/** The room left of the plots over time, so that their dates stand below each other. */
const LEFT_PX = 64;
/** The room right of them, for half of the last date. */
const RIGHT_PX = 28;
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

/** The colour of a place among the series, and a colour that lets through. */
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

/** Forget a plot: what it showed is not to be seen under another name. */
function undraw(id) {
  plots.get(id)?.destroy();
  plots.delete(id);
  document.getElementById(id).removeAttribute("aria-label");
}

/**
 * The legend of a plot, as buttons below it: [{label, hex, places}], each of which shows and hides
 * the datasets in its places. What was hidden stays so when the plot is drawn anew.
 */
function drawLegend(id, plot, items) {
  const legend = document.getElementById(id);
  const chart = plots.get(plot);
  const hidden = new Set(
    [...legend.querySelectorAll("[aria-pressed=false]")].map((button) => button.textContent),
  );
  const buttons = items.map(({ label, hex, places }) => {
    const mark = element("span", { class: "mark" });
    mark.style.background = hex;
    const button = element("button", { type: "button" }, mark, label);
    const setShown = (isShown) => {
      for (const place of places) chart.setDatasetVisibility(place, isShown);
      button.setAttribute("aria-pressed", String(isShown));
    };
    setShown(!hidden.has(label));
    button.addEventListener("click", () => {
      setShown(button.getAttribute("aria-pressed") !== "true");
      chart.update();
    });
    return button;
  });
  legend.replaceChildren(...buttons);
  if (hidden.size) chart.update();
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
      // It stands below the plot, as buttons.
      legend: { display: false },
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

/** Options by which both plots over time have the same room on both sides. */
function timeOptions(range) {
  const options = commonOptions();
  options.layout = { padding: { right: RIGHT_PX } };
  options.scales = { x: dateAxis(range) };
  return options;
}

/** A vertical axis of a plot over time. */
function timeValues(more) {
  return axis({ ...more, afterFit: (scale) => { scale.width = LEFT_PX; } });
}

/** The axis of dates, over these days at least. */
function dateAxis(range) {
  return axis({
    type: "time",
    min: range.min,
    max: range.max,
    // The library would give labels that stand out room of their own, in each plot another.
    afterFit: (scale) => { scale.paddingLeft = scale.paddingRight = 0; },
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

/** Whether days are missing between the two ends of a line's segment. */
function isGap(segment) {
  return segment.p1.parsed.x - segment.p0.parsed.x > 1.5 * DAY_MS;
}

/** A line over days: dashes where days are missing, and nothing where a day has no value. */
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

/** Let a person choose dates by dragging over a plot; `onChoose(from, to)` gets the days touched. */
function chooseByDragging(id, onChoose) {
  const canvas = document.getElementById(id);
  const shade = element("div", { class: "shade", hidden: true });
  canvas.parentElement.append(shade);
  let start = null;
  const within = (event) => {
    const area = plots.get(id)?.chartArea ?? { left: 0, right: 0 };
    const x = event.clientX - canvas.getBoundingClientRect().left;
    return Math.max(area.left, Math.min(x, area.right));
  };
  const show = (from, to) => {
    const area = plots.get(id)?.chartArea;
    if (!area) return;
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
    if (ends[1] - ends[0] < DRAG_PX || !plots.has(id)) return;
    const scale = plots.get(id).scales.x;
    // A day is touched when its middle is.
    const [from, to] = ends.map((x) => new Date(scale.getValueForPixel(x)));
    const first = new Date(from.getTime() + DAY_MS / 2 - 1);
    const last = new Date(to.getTime() + DAY_MS / 2);
    onChoose(formatDay(first), formatDay(last));
  });
}
