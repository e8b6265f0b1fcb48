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
/** Characters of a server's own words that are shown. */
const MOST_SAID = 300;
const NAME = /^[A-Za-z0-9_.-]+$/;
/** Whether files may be fetched; of a disk a browser only runs scripts. */
const isOnDisk = new URL(PUBLISHED, location.href).protocol === "file:";

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
  const text = await (isOnDisk ? readTwin(name) : fetchText(name));
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
  // Ours says in a sentence what it is.
  const isText = response.headers.get("Content-Type")?.startsWith("text/plain");
  const said = isText ? (await response.text().catch(() => "")).trim().slice(0, MOST_SAID) : "";
  throw new Problem(
    `${name} could not be fetched: the server said ${response.status}${said ? `, ${said}` : "."}`,
  );
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

/** Version to folder. With `isFresh` they are asked for again: something has gone. */
function loadVersions(isFresh = false) {
  if (isFresh) loaded.delete("versions.json");
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

/**
 * One version: its name, folder, definitions, filter paths by id, coverage (null if there is none),
 * and the `problems` with what can be done without.
 */
function loadVersion(name, folder) {
  return loadOnce(`${name} in ${folder}`, async () => {
    const problems = [];
    const [definitions, tree, coverage] = await Promise.all([
      readJson(`${folder}/histograms.json`),
      readJson(`${folder}/filter-tree.json`),
      readJson(`${folder}/coverage.json`).catch((error) => {
        // A folder that another program has published has none; but a broken one is told.
        if (!error.isMissing) problems.push(error);
        return null;
      }),
    ]);
    const paths = new Map();
    try {
      collectPaths(tree, [], paths);
    } catch {
      throw new Problem(`${folder}/filter-tree.json is no tree of filters: publish it again.`);
    }
    return { name, folder, definitions, paths, coverage, problems };
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
      collectPaths(child, [...path, unescaped(option)], paths);
    }
  }
}

/** A filter's value; one with a % that is no escape was written by another program, as it is. */
function unescaped(option) {
  try {
    return decodeURIComponent(option);
  } catch {
    return option;
  }
}

/** A measure's definition and its rows by date (YYYYMMDD), checked; and `problems`, as above. */
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
    const strange = Object.keys(days).filter((day) => !parseDay(day));
    for (const day of strange) delete days[day];
    const problems = strange.length
      ? [new Problem(`${name} has rows under ${strange[0]}, which is no date: they are left out.`)]
      : [];
    const length = definition.bounds.length + AFTER_BUCKETS;
    for (const [day, rows] of Object.entries(days)) {
      const isGood = (row) =>
        Array.isArray(row) && row.length === length && row.every(Number.isFinite);
      if (!Array.isArray(rows) || !rows.every(isGood)) {
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
    return { definition, days, problems };
  });
}
