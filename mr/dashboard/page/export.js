/* What is shown, as files to take away. */
"use strict";

/** What a spreadsheet would take for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

/** Rows as CSV, by RFC 4180; text that a spreadsheet would compute is marked as text. */
function toCsv(rows) {
  const names = Object.keys(rows[0] ?? {});
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((cells) => `${cells.map(cell).join(",")}\r\n`)
    .join("");
}

/** Give the person what is shown as a file. */
function exportShown({ choice, found, series }, what, format) {
  const rows = what === "evolution" ? evolutionRows(series, choice) : distributionRows(series);
  const name = `${choice.measure}-${choice.versions.join("-").replaceAll("/", "-")}-${what}`;
  if (format === "csv") {
    save(`${name}.csv`, "text/csv", toCsv(rows));
    return;
  }
  const ofVersions = (of) =>
    Object.fromEntries(found.map(({ version }) => [version.name, of(version)]));
  const about = {
    link: new URL(linkOf(choice), location.href).href,
    measure: choice.measure,
    by: choice.by,
    from: choice.from || null,
    to: choice.to || null,
    filters: choice.filters,
    definitions: ofVersions((version) => version.definitions[choice.measure]),
    coverage: ofVersions((version) => version.coverage?.records ?? null),
  };
  save(`${name}.json`, "application/json", `${JSON.stringify({ ...about, rows }, null, 1)}\n`);
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
