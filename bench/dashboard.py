"""How long a person waits for the dashboard's first plot, in a browser that has seen nothing yet.

    python bench/dashboard.py PUBLISHED [--runs 5]

Each run is a new browser with a new profile: the page is served from here, loaded, and draws the
plots of its first measure. The table has the milliseconds from the beginning of the navigation, the
files and bytes that were fetched, and of a second look, whose files the browser still has.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

from selenium import webdriver

import mr.histograms
from mr.dashboard.serving import make_server
from mr.stores import open_store

#: Those of tests/browsers.py: this runs as a script, without the tests.
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

WAITED = """
const files = performance.getEntriesByType("resource");
return {
  shown: performance.getEntriesByName("shown")[0]?.startTime,
  files: files.length + 1,
  bytes: files.reduce((sum, one) => sum + one.encodedBodySize, 0),
};
"""


def main() -> None:
    """Look at the page and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    opened = mr.histograms.open(options.published)
    measures = {version: len(opened[version].measures) for version in opened}
    server = make_server(open_store(options.published), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    looks = [look(f"http://127.0.0.1:{server.server_port}/") for _ in range(options.runs)]
    server.shutdown()
    print(f"{options.published}: measures by version: {measures}")
    print("| look | first plot, ms | median | files | kB |")
    print("|---|---|---|---|---|")
    for name, runs in zip(("first", "second"), zip(*looks, strict=True), strict=True):
        waited = [round(run["shown"]) for run in runs]
        print(
            f"| {name} | {', '.join(map(str, waited))} | {statistics.median(waited):.0f} "
            f"| {runs[0]['files']} | {runs[0]['bytes'] / 1000:,.0f} |"
        )


def look(url: str) -> list[dict]:
    """What a new browser waits for, the first time and the second."""
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as folder:
        driver = browser(Path(folder))
        try:
            return [waited(driver, url), waited(driver, url)]
        finally:
            driver.quit()


def browser(folder: Path) -> webdriver.Chrome:
    """A Chromium without a screen, whose profile is new."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(argument)
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def waited(driver: webdriver.Chrome, url: str) -> dict:
    """Open the page, and what it tells of itself once its plots are drawn."""
    driver.get("about:blank")
    driver.get(url)
    deadline = time.monotonic() + 60
    while True:
        found = driver.execute_script(WAITED)
        if found["shown"]:
            problems = driver.execute_script("return document.querySelectorAll('.problem').length")
            if problems or not driver.execute_script("return plots.size === 3"):
                raise SystemExit("the page did not draw its plots")
            return found
        if time.monotonic() > deadline:
            raise SystemExit("the page showed nothing in a minute")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
