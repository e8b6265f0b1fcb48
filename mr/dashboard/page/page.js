/* The page: from a choice to what is shown, and from what a person does to a new choice. */
"use strict";

/** What is shown first if the link names no measure: the first of these that there is. */
const FIRST_MEASURES = ["GC_MS", "CYCLE_COLLECTOR", "SIMPLE_MEASURES_FIRSTPAINT"];
/** Milliseconds after which a person is told that something is being loaded. */
const PATIENCE_MS = 150;

const byId = (id) => document.getElementById(id);
let choice = choiceOf(location.hash);
/** What is on the page: {found, series, statistic}; null when there is nothing. */
let shown = null;
/** Counts what was asked for, so that a late answer does not replace a newer one. */
let turn = 0;

const status = byId("status");
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
  status.textContent = "";
  showProblems(problems, () => {
    forgetLoaded();
    show();
  });
  performance.mark("shown");
  document.documentElement.dataset.shown = linkOf(choice);
}

/** Load and draw; returns what went wrong beside. */
async function load(isOld) {
  const folders = await loadVersions();
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
  byId("choice").hidden = false;
  versionMenu.update(names.map((value) => ({ value, note: "" })), versions);
  const there = answers.filter((one) => one.value).map((one) => one.value);
  problems.push(...answers.filter((one) => one.reason).map((one) => one.reason));
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
    showCoverage(byId("coverage"), there.map((version) => ({ version, measure })), []);
    const told = there.map((version) => version.name).join(", ");
    return [...problems, new Problem(`Nothing of ${told} is published; below is what was read.`)];
  }
  const rows = await Promise.allSettled(there.map((one) => loadRows(one, measure, choice.by)));
  if (isOld()) return [];
  problems.push(...rows.filter((one) => one.reason).map((one) => one.reason));
  const found = there
    .map((version, place) => ({ version, measure, ...rows[place].value }))
    .filter((one) => one.days);
  updateControls(there, found);
  if (!found.length) {
    hidePlots();
    showCoverage(byId("coverage"), there.map((version) => ({ version, measure })), []);
    return problems;
  }
  problems.push(...drawAll(found));
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
  byId("reset").disabled =
    LEVELS.every((level) => !choice.filters[level].length) && !choice.from && !choice.to;
  byId("logarithmic").checked = choice.scale === "log";
}

function hidePlots() {
  shown = null;
  for (const id of ["about", "coverage", "evolution", "distribution"]) byId(id).hidden = true;
}

/** Draw everything of what was found; returns what is to be told. */
function drawAll(found) {
  const { series, number } = seriesOf(found, choice);
  const { definition } = found[0];
  const { measure } = choice;
  document.title = `${measure} · ${choice.versions.join(", ")}`;
  byId("about").hidden = false;
  byId("measure-name").textContent = measure;
  byId("description").textContent = definition.description;
  byId("selection").textContent = selectionText(found, series, number);
  showCoverage(byId("coverage"), found, series);
  // Nothing of these dates may be left of a filter's value.
  const withData = series.filter((one) => one.total.submissions > 0);
  if (!series.length || !withData.length) {
    for (const id of ["evolution", "distribution"]) byId(id).hidden = true;
    shown = null;
    return [new ChoiceProblem(nothingText(found, series))];
  }
  const statistics = statisticsOf(definition, series);
  const statistic = statistics.find(({ name }) => name === choice.statistic) ?? statistics[0];
  shown = { found, series, statistic };
  // A hidden canvas has no size to draw in.
  for (const id of ["evolution", "distribution"]) byId(id).hidden = false;
  updateStatistic(statistics, statistic, series, definition);
  const days = series.flatMap((one) => [...one.days.keys()]).sort();
  const all = rangeOf(days[0], days.at(-1));
  const isWindow = choice.from || choice.to;
  const chosen = days.filter((day) => isWithin(day, choice));
  if (statistic) {
    drawEvolution(
      series,
      statistic,
      choice,
      isWindow ? rangeOf(choice.from || chosen[0], choice.to || chosen.at(-1)) : all,
    );
  }
  drawSubmissions(series, choice, all);
  drawDistribution(withData, choice);
  byId("evolution-help").textContent = choice.by === "build"
    ? "By the date of the build."
    : "By the date of the submission, up to 60 days after the build.";
  byId("distribution-help").textContent = distributionHelp(withData);
  byId("from").value = choice.from ? dashed(choice.from) : dashed(days[0]);
  byId("to").value = choice.to ? dashed(choice.to) : dashed(days.at(-1));
  byId("all-dates").disabled = !isWindow;
  byId("summary").replaceChildren(summaryTable(withData));
  drawTables();
  const kinds = new Set(found.map((one) => one.definition.kind));
  return kinds.size > 1
    ? [new ChoiceProblem(`${measure} is of different kinds in these versions: ${[...kinds].join(", ")}.`)]
    : [];
}

function updateStatistic(statistics, statistic, series, definition) {
  byId("statistic-field").hidden = series.length === 1 && !definition.isCategorical;
  byId("logarithmic-field").hidden = definition.isCategorical;
  byId("statistic").replaceChildren(
    ...statistics.map(({ name, label }) => element("option", { value: name }, label)),
  );
  if (statistic) byId("statistic").value = statistic.name;
}

function selectionText(found, series, number) {
  const kinds = [...new Set(found.map((one) => one.definition.kind))].join(", ");
  const filters = LEVELS.filter((level) => choice.filters[level].length).map(
    (level) => `${level} ${choice.filters[level].join(" or ")}`,
  );
  const parts = [kinds, found.map((one) => one.version.name).join(", "), ...filters];
  if (series.length < number) {
    parts.push(`the ${series.length} of ${number} with the most submissions are shown`);
  }
  return parts.join(" · ");
}

function nothingText(found, series) {
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

function distributionHelp(series) {
  const { left } = drawnBounds(series);
  const told = [];
  if (left) told.push(`${plural(left, "empty bucket")} at the ends not drawn.`);
  if (!haveSameBuckets(series)) {
    told.push("The series have different buckets: compare what is cumulative.");
  }
  if (!series[0].definition.isCategorical) {
    told.push("Percentiles are estimated within their buckets.");
  }
  return told.join(" ");
}

/** The tables are made when they are opened: of long measures they are large. */
function drawTables() {
  for (const [id, make] of [
    ["evolution-table", evolutionTable],
    ["distribution-table", distributionTable],
  ]) {
    const details = byId(id);
    details.querySelector(".scroll")?.remove();
    if (details.open && shown) details.append(make());
  }
}

function evolutionTable() {
  const { series, statistic } = shown;
  const shares = Object.fromEntries(
    statisticsOf(series[0].definition, series)
      .filter((one) => one.isShare)
      .map((one) => [one.label, (value) => (value === null ? "" : formatShare(value))]),
  );
  return rowsTable(
    `${choice.measure} over time`,
    evolutionRows(series, choice),
    series.length === 1,
    statistic?.isShare ? shares : {},
  );
}

function distributionTable() {
  const { series } = shown;
  const { definition } = series[0];
  const rows = distributionRows(series).map((row) => {
    if (!definition.isCategorical) return row;
    const { start, end, ...rest } = row;
    return { value: bucketLabel(definition, definition.bounds.indexOf(start)), ...rest };
  });
  const order = rows.map(({ series: label, ...rest }) => ({ ...rest, series: label }));
  return rowsTable(`${choice.measure}, distribution`, order, series.length === 1, {
    share: formatShare,
    cumulative: formatShare,
  });
}

/** Give the person what is shown as a file. */
function exportShown(what, format) {
  if (!shown) return;
  const rows =
    what === "evolution" ? evolutionRows(shown.series, choice) : distributionRows(shown.series);
  const name = `${choice.measure}-${choice.versions.join("-").replaceAll("/", "-")}-${what}`;
  if (format === "csv") {
    save(`${name}.csv`, "text/csv", toCsv(rows));
    return;
  }
  const about = {
    link: location.href,
    measure: choice.measure,
    by: choice.by,
    from: choice.from || null,
    to: choice.to || null,
    filters: choice.filters,
    definitions: Object.fromEntries(
      shown.found.map(({ version }) => [version.name, version.definitions[choice.measure]]),
    ),
    coverage: Object.fromEntries(
      shown.found.map(({ version }) => [version.name, version.coverage?.records ?? null]),
    ),
  };
  save(`${name}.json`, "application/json", `${JSON.stringify({ ...about, rows }, null, 1)}\n`);
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
  choose({ filters: Object.fromEntries(LEVELS.map((level) => [level, []])), from: "", to: "" });
});
byId("all-dates").addEventListener("click", () => choose({ from: "", to: "" }));
for (const end of ["from", "to"]) {
  byId(end).addEventListener("change", (event) => {
    const day = event.target.value.replaceAll("-", "");
    if (parseDay(day) || !day) choose({ [end]: day });
  });
}
for (const id of ["evolution-plot", "submissions-plot"]) {
  chooseByDragging(id, (from, to) => choose({ from, to }));
}
for (const button of document.querySelectorAll("[data-export]")) {
  button.addEventListener("click", () => exportShown(...button.dataset.export.split(".")));
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
  if (shown) drawAll(shown.found);
}

showTheme();
show();
