/*
 * Reading a published folder as it is (docs/published.md): versions.json, then of each version its
 * definitions, filters, coverage and the files of the measures that are looked at.
 *
 * Over HTTP the JSON itself is fetched. A page that was opened from a disk may not fetch; for it
 * each file has a twin, a script that hands over the same bytes (see `mr/dashboard/site.py`).
 */
"use strict";

const PUBLISHED = document.querySelector('meta[name="published"]').content;
const LEVELS = ["reason", "appName", "OS", "osVersion", "arch"];
const TIMEOUT_MS = 60000;
const NAME = /^[A-Za-z0-9_.-]+$/;

/** Promises of objects, by name; what failed is asked for again. */
const loaded = new Map();
/** What twins have handed over, by name. */
const handedOver = new Map();

/** Called by twins: the file's name, and its bytes, gzipped, in base64. */
function takePublished(name, base64) {
  handedOver.set(name, base64);
}

function loadOnce(name, load) {
  if (!loaded.has(name)) {
    const promise = load();
    promise.catch(() => loaded.delete(name));
    loaded.set(name, promise);
  }
  return loaded.get(name);
}

/** Ask for everything again: something may have been mended. */
function forgetLoaded() {
  loaded.clear();
}

/** The JSON of a file. Throws a Problem; `isMissing` of it tells that there is none. */
async function readJson(name) {
  const text = await (location.protocol === "file:" ? readTwin(name) : fetchText(name));
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Problem(`${name} is broken (${error.message}): publish the folder again.`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Problem(`${name} is no JSON object: publish the folder again.`);
  }
  return value;
}

function missing(name) {
  const problem = new Problem(
    name === "versions.json"
      ? `There is nothing published in ${PUBLISHED}: it has no versions.json.`
      : `${name} is missing: publish the folder again, or copy all of it.`,
  );
  problem.isMissing = true;
  return problem;
}

async function fetchText(name) {
  // versions.json is what changes; everything else stands in a folder that never does.
  const cache = name === "versions.json" ? "no-cache" : "default";
  let response;
  try {
    response = await fetch(PUBLISHED + name, { cache, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.ok) return await response.text();
  } catch (error) {
    const reason = error.name === "TimeoutError" ? "there was no answer in a minute" : error.message;
    throw new Problem(`${name} could not be fetched (${reason}): is the server still there?`);
  }
  // A bucket that may not be listed says 403 for what is not there.
  if (response.status === 404 || response.status === 403) throw missing(name);
  throw new Problem(`${name} could not be fetched: the server said ${response.status}.`);
}

async function readTwin(name) {
  if (!handedOver.has(name)) {
    await new Promise((resolve, reject) => {
      const script = element("script", { src: `${PUBLISHED}${name}.js` });
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(missing(name)));
      document.head.append(script);
    });
  }
  try {
    const bytes = Uint8Array.from(atob(handedOver.get(name)), (c) => c.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(unpacked).text();
  } catch (error) {
    throw new Problem(`${name}.js is broken (${error.message}): write the site again.`);
  } finally {
    handedOver.delete(name);
  }
}

/** Version to folder. */
function loadVersions() {
  return loadOnce("versions.json", async () => {
    const versions = await readJson("versions.json");
    for (const [version, folder] of Object.entries(versions)) {
      if (!NAME.test(folder)) {
        throw new Problem(`versions.json: ${version} names no folder: publish the folder again.`);
      }
    }
    return versions;
  });
}

/** One version: its name, folder, definitions, filter paths by id, and coverage (null if none). */
function loadVersion(name, folder) {
  return loadOnce(folder, async () => {
    const [definitions, tree, coverage] = await Promise.all([
      readJson(`${folder}/histograms.json`),
      readJson(`${folder}/filter-tree.json`),
      readJson(`${folder}/coverage.json`).catch((error) => {
        // A folder that another program has published has none; but a broken one is told.
        if (error.isMissing) return null;
        throw error;
      }),
    ]);
    const paths = new Map();
    try {
      collectPaths(tree, [], paths);
    } catch {
      throw new Problem(`${folder}/filter-tree.json is no tree of filters: publish it again.`);
    }
    return { name, folder, definitions, paths, coverage };
  });
}

function collectPaths(node, path, paths) {
  if (typeof node !== "object" || !Number.isInteger(node._id)) throw new TypeError("no node");
  if (path.length === LEVELS.length) {
    paths.set(node._id, path);
    return;
  }
  for (const [option, child] of Object.entries(node)) {
    if (option !== "name" && option !== "_id") {
      collectPaths(child, [...path, decodeURIComponent(option)], paths);
    }
  }
}

/** A measure's definition and its rows by date (YYYYMMDD), checked. */
function loadRows(version, measure, by) {
  const name = `${version.folder}/${measure}-by-${by}-date.json`;
  return loadOnce(name, async () => {
    if (!Object.hasOwn(version.definitions, measure) || !NAME.test(measure)) {
      const reason = version.coverage?.measures?.left_out?.[measure];
      throw new ChoiceProblem(
        reason
          ? `${version.name} does not publish ${measure}: ${reason}.`
          : `${version.name} has no measure ${measure}.`,
      );
    }
    let definition;
    try {
      definition = parseDefinition(version.definitions[measure]);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw new Problem(`${version.folder}/histograms.json: ${measure}: ${error.message}.`);
    }
    const days = await readJson(name);
    const length = definition.bounds.length + AFTER_BUCKETS;
    for (const [day, rows] of Object.entries(days)) {
      const isGood = (row) =>
        Array.isArray(row) && row.length === length && row.every(Number.isFinite);
      if (!parseDay(day) || !Array.isArray(rows) || !rows.every(isGood)) {
        throw new Problem(
          `${name} is broken: under ${day} there is a row that is not of ${length} numbers; ` +
            "publish the folder again.",
        );
      }
      for (const row of rows) {
        if (!version.paths.has(row[length - 1])) {
          throw new Problem(
            `${version.folder}/filter-tree.json does not have the filter ${row[length - 1]} of ` +
              `${measure}: publish the folder again.`,
          );
        }
      }
    }
    return { definition, days };
  });
}

/** YYYYMMDD as a Date (midnight here), or null if it is none. */
function parseDay(text) {
  const found = /^(\d{4})(\d{2})(\d{2})$/.exec(text);
  if (!found) return null;
  const [year, month, day] = found.slice(1).map(Number);
  const date = new Date(year, month - 1, day);
  return date.getMonth() === month - 1 ? date : null;
}

/** A Date as YYYYMMDD. */
function formatDay(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
}

/** YYYYMMDD as people and date fields write it. */
function dashed(day) {
  return `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`;
}
