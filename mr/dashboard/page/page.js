/* The page: from a choice to what is shown, and from what a person does to a new choice. */
"use strict";

/** What is shown first if the link names no measure: the first of these that there is. */
const FIRST_MEASURES = ["GC_MS", "CYCLE_COLLECTOR", "SIMPLE_MEASURES_FIRSTPAINT"];
/** Milliseconds after which a person is told that something is being loaded. */
const PATIENCE_MS = 150;

const byId = (id) => document.getElementById(id);
let choice = choiceOf(location.hash);
/**
 * What is on the page: {choice, found, series, statistic}; null when there is nothing. While another
 * choice is loaded this is still the one before, and whatever draws or exports goes by it.
 */
let shown = null;
/** Counts what was asked for, so that a late answer does not replace a newer one. */
let turn = 0;

const TITLE = document.title;
const status = byId("status");
const dateFields = new Map(
  ["from", "to"].map((end) => [
    end,
    new DateField(byId(end), (day) => choose({ [end]: day })),
  ]),
);
const versionMenu = new CheckMenu(byId("versions"), "Versions", {
  needsOne: true,
  onChange: (versions) => choose({ versions }),
});
const filterMenus = new Map(
  LEVELS.map((level) => [
    level,
    new CheckMenu(byId("filters"), level, {
      onChange: (values) => choose({ filters: { ...choice.filters, [level]: values } }),
    }),
  ]),
);
const measureSearch = new MeasureSearch(
  byId("measure"),
  byId("measures"),
  byId("measure-help"),
  (measure) => choose({ measure, statistic: "" }),
);

/** Take a change of the choice: into the link, and onto the page. */
function choose(change) {
  choice = { ...choice, ...change };
  const link = linkOf(choice);
  if (link !== location.hash) history.pushState(null, "", link);
  show();
}

/** Show what the choice says. */
async function show() {
  const mine = ++turn;
  const isOld = () => mine !== turn;
  const patience = setTimeout(() => {
    if (!isOld()) status.textContent = "Loading…";
  }, PATIENCE_MS);
  let problems = [];
  try {
    problems = await load(isOld);
  } catch (error) {
    problems = [error];
    if (!isOld()) hidePlots();
  } finally {
    clearTimeout(patience);
  }
  if (isOld()) return;
  status.textContent = shown ? statusText(shown) : "";
  const focused = document.activeElement;
  showProblems(problems, () => {
    forgetLoaded();
    show();
  });
  keepFocus(focused);
  performance.mark("shown");
  document.documentElement.dataset.shown = linkOf(choice);
}

/** Leave the focus near what is shown if that which had it is gone. */
function keepFocus(focused) {
  if (focused === document.body || (focused.isConnected && focused.checkVisibility())) return;
  (byId("about").hidden ? byId("plots") : byId("measure-name")).focus({ preventScroll: true });
}

/** What is shown, in short, for those who do not see it. */
function statusText({ choice, series }) {
  const submissions = series.reduce((sum, one) => sum + one.total.submissions, 0);
  const names = series.length > 1 ? `, ${series.length} series` : "";
  return `${choice.measure}${names}, ${plural(submissions, "submission")}`;
}

/** Load and draw; returns what went wrong beside. `isAgain`: versions.json was read once more. */
async function load(isOld, isAgain = false) {
  const folders = await loadVersions(isAgain);
  if (isOld()) return [];
  const names = Object.keys(folders).sort(byVersion);
  if (!names.length) {
    throw new Problem("Nothing is published yet: `mr-telemetry run histograms` does so.");
  }
  const unknown = choice.versions.filter((name) => !Object.hasOwn(folders, name));
  const problems = unknown.map((name) => new ChoiceProblem(`There is no version ${name} here.`));
  let versions = choice.versions.filter((name) => !unknown.includes(name));
  if (!versions.length) versions = [firstVersion(names)];

  const answers = await Promise.allSettled(versions.map((name) => loadVersion(name, folders[name])));
  if (isOld()) return [];
  if (!isAgain && answers.some((one) => one.reason?.isMissing)) return load(isOld, true);
  byId("choice").hidden = false;
  versionMenu.update(names.map((value) => ({ value, note: "" })), versions);
  const there = answers.filter((one) => one.value).map((one) => one.value);
  problems.push(...answers.filter((one) => one.reason).map((one) => one.reason));
  problems.push(...there.flatMap((one) => one.problems));
  if (!there.length) {
    hidePlots();
    return problems;
  }
  const options = measureOptions(there);
  const measure = choice.measure || firstMeasure(options);
  measureSearch.update(options, measure);
  choice = { ...choice, versions, measure };
  history.replaceState(null, "", linkOf(choice));

  if (!measure) {
    hidePlots();
    showCoverage(byId("coverage"), there.map((version) => ({ version, measure })), [], choice);
    const told = there.map((version) => version.name).join(", ");
    return [...problems, new Problem(`Nothing of ${told} is published; below is what was read.`)];
  }
  const rows = await Promise.allSettled(there.map((one) => loadRows(one, measure, choice.by)));
  if (isOld()) return [];
  // An update may have deleted the folder since the page was opened.
  if (!isAgain && rows.some((one) => one.reason?.isMissing)) return load(isOld, true);
  problems.push(...rows.filter((one) => one.reason).map((one) => one.reason));
  problems.push(...rows.flatMap((one) => one.value?.problems ?? []));
  const found = there
    .map((version, place) => ({ version, measure, ...rows[place].value }))
    .filter((one) => one.days);
  updateControls(there, found);
  if (!found.length) {
    hidePlots();
    showCoverage(byId("coverage"), there.map((version) => ({ version, measure })), [], choice);
    return problems;
  }
  problems.push(...drawAll(found, choice));
  return problems;
}

/** The newest of nightly if there is one: most look at that. */
function firstVersion(names) {
  return names.findLast((name) => name.startsWith("nightly/")) ?? names.at(-1);
}

function firstMeasure(options) {
  const names = options.filter((option) => !option.reason).map((option) => option.name);
  return FIRST_MEASURES.find((name) => names.includes(name)) ?? names[0] ?? "";
}

/** The measures of some versions, with those that were left out, in order. */
function measureOptions(versions) {
  const options = new Map();
  for (const { definitions, coverage } of versions) {
    for (const [name, reason] of Object.entries(coverage?.measures?.left_out ?? {})) {
      options.set(name, { name, description: "", reason: String(reason) });
    }
    for (const [name, definition] of Object.entries(definitions)) {
      options.set(name, { name, description: String(definition?.description ?? "") });
    }
  }
  for (const { definitions } of versions) {
    for (const name of Object.keys(definitions)) delete options.get(name).reason;
  }
  return [...options.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Bring the controls to what the choice says. */
function updateControls(versions, found) {
  const counts = submissionsByFilter(
    found.length ? found : versions.map((version) => ({ version, days: {} })),
    choice,
  );
  for (const [level, menu] of filterMenus) {
    const options = [...counts[level]]
      .sort(([one], [other]) => byVersion(one, other))
      .map(([value, number]) => ({ value, note: formatNumber(number) }));
    menu.update(options, choice.filters[level]);
  }
  for (const box of document.querySelectorAll("input[name=by]")) box.checked = box.value === choice.by;
  for (const box of document.querySelectorAll("input[name=show]")) {
    box.checked = box.value === choice.show;
  }
  byId("compare").replaceChildren(
    element("option", { value: "" }, "nothing, or the versions chosen"),
    ...LEVELS.map((level) => element("option", { value: level }, `by ${level}`)),
  );
  byId("compare").value = choice.compare;
  setOff(
    byId("reset"),
    LEVELS.every((level) => !choice.filters[level].length) && !choice.from && !choice.to,
  );
  byId("logarithmic").checked = choice.scale === "log";
}

function hidePlots() {
  shown = null;
  document.title = TITLE;
  for (const id of ["about", "coverage", "evolution", "distribution"]) byId(id).hidden = true;
  for (const id of [...plots.keys()]) undraw(id);
}

/** Draw everything of what was found; returns what is to be told. */
function drawAll(found, choice) {
  const { compared, others } = ofOneKind(found);
  const { series, number } = seriesOf(compared, choice);
  const { definition } = series[0] ?? compared[0];
  document.title = `${choice.measure} · ${choice.versions.join(", ")}`;
  byId("about").hidden = false;
  byId("measure-name").textContent = choice.measure;
  byId("description").textContent = definition.description;
  byId("selection").textContent = selectionText(compared, series, number, choice);
  showCoverage(byId("coverage"), compared, series, choice);
  const problems = kindProblems(compared, others, choice);
  // Nothing of these dates may be left of a filter's value.
  const withData = series.filter((one) => one.total.submissions > 0);
  if (!withData.length) problems.push(new ChoiceProblem(nothingText(compared, series, choice)));
  // Then the dates stay, so that a person can choose others.
  byId("evolution").hidden = !series.length;
  if (!series.length) {
    shown = null;
    byId("distribution").hidden = true;
    for (const id of [...plots.keys()]) undraw(id);
    return problems;
  }
  const hasValues = withData.some((one) => one.total.count > 0);
  const statistics = statisticsOf(series, choice);
  const statistic = statistics.find(({ name }) => name === choice.statistic) ?? statistics[0];
  shown = { choice, found: compared, series, statistic: hasValues ? statistic : null };
  // A hidden canvas has no size to draw in.
  for (const id of ["evolution-figure", "evolution-exports", "evolution-table", "distribution"]) {
    byId(id).hidden = !hasValues;
  }
  byId("statistic-field").hidden = !hasValues || (series.length === 1 && !definition.isCategorical);
  byId("logarithmic-field").hidden = !hasValues || definition.isCategorical;
  byId("statistic").replaceChildren(
    ...statistics.map(({ name, label }) => element("option", { value: name }, label)),
  );
  if (statistic) byId("statistic").value = statistic.name;
  byId("evolution-help").textContent = choice.by === "build"
    ? "By the date of the build."
    : "By the date of the submission, up to 60 days after the build.";
  const days = daysOf(series);
  // An end that was not chosen is that of the data, unless the other lies beyond.
  const { from, to } = windowOf(choice, days[0], days.at(-1));
  dateFields.get("from").update(choice.from || (days[0] <= to ? days[0] : ""));
  dateFields.get("to").update(choice.to || (days.at(-1) >= from ? days.at(-1) : ""));
  setOff(byId("all-dates"), !choice.from && !choice.to);
  drawPlots();
  byId("summary").replaceChildren();
  if (hasValues) {
    byId("summary").append(summaryTable(withData));
    byId("distribution-help").textContent = distributionHelp(withData);
  }
  drawTables();
  return problems;
}

/** All days of some series, in order. */
function daysOf(series) {
  return series.flatMap((one) => [...one.days.keys()]).sort();
}

/** Draw the plots of what is shown. */
function drawPlots() {
  const { choice, series, statistic } = shown;
  const days = daysOf(series);
  const notes = notesOf(series, choice);
  drawSubmissions(series, choice, rangeOf(days[0], days.at(-1)));
  if (statistic) {
    const { from, to } = windowOf(choice, days[0], days.at(-1));
    const left = drawEvolution(series, statistic, choice, rangeOf(from, to));
    if (left) {
      notes.push(`${plural(left, "point")} of 0 or less cannot be shown on a logarithmic scale.`);
    }
    drawDistribution(series.filter((one) => one.total.submissions > 0), choice);
  } else {
    undraw("evolution-plot");
    undraw("distribution-plot");
  }
  byId("evolution-note").textContent = notes.join(" ");
}

/** What is to be known of the values of some series. */
function notesOf(series, choice) {
  const told = [];
  const submissions = series.reduce((sum, one) => sum + one.total.submissions, 0);
  const values = series.reduce((sum, one) => sum + one.total.count, 0);
  if (choice.measure.startsWith("SIMPLE_MEASURES_") && submissions > values) {
    const below = plural(submissions - values, "submission");
    told.push(`${below} with a value below 0, which is in no bucket.`);
  } else if (!values && submissions) {
    told.push(`No values: ${plural(submissions, "submission")} with empty buckets.`);
  }
  return told;
}

/** That a measure is of another kind in some versions, which are left out. */
function kindProblems(compared, others, choice) {
  if (!others.length) return [];
  const kind = ({ version, definition }) => `${definition.kind} in ${version.name}`;
  const names = others.map(({ version }) => version.name).join(", ");
  return [
    new ChoiceProblem(
      `${choice.measure} is ${[...compared, ...others].map(kind).join(", ")}; ` +
        `what is of different kinds cannot be compared: ${names} is left out.`,
    ),
  ];
}

function selectionText(found, series, number, choice) {
  const filters = LEVELS.filter((level) => choice.filters[level].length).map(
    (level) => `${level} ${choice.filters[level].join(" or ")}`,
  );
  const parts = [found[0].definition.kind, found.map((one) => one.version.name).join(", "), ...filters];
  if (series.length < number) {
    parts.push(`the ${series.length} of ${number} with the most submissions are shown`);
  }
  return parts.join(" · ");
}

function nothingText(found, series, choice) {
  const kind = choice.by === "build" ? "build" : "submission";
  if (found.every((one) => !Object.keys(one.days).length)) {
    const other = choice.by === "build" ? "submission" : "build";
    return (
      `${choice.measure} has nothing by the date of the ${kind}` +
      (choice.by === "submission" ? ", up to 60 days after the build" : "") +
      `; it may have by that of the ${other}.`
    );
  }
  return series.length
    ? "Nothing was submitted in the dates chosen: choose others, or all."
    : "Nothing matches these filters together: remove some.";
}

/** The tables are made when they are opened: of long measures they are large. */
function drawTables() {
  for (const [id, make] of [
    ["evolution-table", evolutionTable],
    ["distribution-table", distributionTable],
  ]) {
    const details = byId(id);
    details.querySelector(".made")?.remove();
    if (details.open && shown?.statistic) details.append(make(shown));
  }
}

// What a person does.

byId("choice").addEventListener("submit", (event) => event.preventDefault());
for (const name of ["by", "show"]) {
  for (const box of document.querySelectorAll(`input[name=${name}]`)) {
    box.addEventListener("change", () => choose({ [name]: box.value }));
  }
}
byId("compare").addEventListener("change", (event) => {
  choose({ compare: event.target.value, statistic: "" });
});
byId("statistic").addEventListener("change", (event) => choose({ statistic: event.target.value }));
byId("logarithmic").addEventListener("change", (event) => {
  choose({ scale: event.target.checked ? "log" : "" });
});
byId("reset").addEventListener("click", () => {
  if (isOff(byId("reset"))) return;
  choose({ filters: Object.fromEntries(LEVELS.map((level) => [level, []])), from: "", to: "" });
});
byId("all-dates").addEventListener("click", () => {
  if (!isOff(byId("all-dates"))) choose({ from: "", to: "" });
});
for (const id of ["evolution-plot", "submissions-plot"]) {
  chooseByDragging(id, (first, last) => {
    const days = shown ? daysOf(shown.series) : [];
    const { from, to } = windowOf({ from: first, to: last }, days[0] ?? "", days.at(-1) ?? "");
    if (days.length && from <= to) choose({ from, to });
  });
}
for (const button of document.querySelectorAll("[data-export]")) {
  button.addEventListener("click", () => {
    if (shown?.statistic) exportShown(shown, ...button.dataset.export.split("."));
  });
}
for (const id of ["evolution-table", "distribution-table"]) {
  byId(id).addEventListener("toggle", drawTables);
}
byId("copy-link").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    status.textContent = "The link is copied: it holds all that you chose.";
  } catch {
    status.textContent = "The browser does not let us copy: take the link from the address bar.";
  }
});
byId("theme").addEventListener("click", () => {
  setTheme(currentTheme() === "dark" ? "light" : "dark");
  showTheme();
});
systemIsDark.addEventListener("change", () => {
  followTheme();
  showTheme();
});
for (const event of ["popstate", "hashchange"]) {
  addEventListener(event, () => {
    if (linkOf(choice) === location.hash) return;
    choice = choiceOf(location.hash);
    show();
  });
}

/** The plots have taken their colours from the style sheet: draw them anew. */
function showTheme() {
  byId("theme").textContent = currentTheme() === "dark" ? "Light" : "Dark";
  if (shown) drawPlots();
}

showTheme();
show();
