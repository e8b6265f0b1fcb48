"""A browser without a screen, for tests of the page."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Where `npm install --prefix` has put axe-core (see .ci/run), which knows rules of accessibility.
AXE = Path(os.environ.get("MR_TEST_AXE", Path(__file__).parent.parent / ".venv/axe"))

#: What may take so long hangs.
PATIENCE_S = 30.0

#: No service of the browser's own, which would ask the network.
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,900",
)  # fmt: skip


class Browser:
    """A Chromium, what it downloads, and how tests speak to a page in it."""

    def __init__(self, driver: Any, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function with this body returns in the page; a promise is waited for."""
        code = (
            "const done = arguments[arguments.length - 1];"
            f"(async (...given) => {{ {script} }})(...[...arguments].slice(0, -1))"
            ".then((value) => done([value]), (error) => done([null, String(error.stack)]));"
        )
        value, *failed = self.driver.execute_async_script(code, *arguments)
        assert not failed, failed
        return value

    def open(self, url: str) -> None:
        """Open a page afresh, and wait until it has shown what its link says."""
        self.driver.get("about:blank")
        self.driver.get(url)
        self.settle()

    def settle(self) -> None:
        """Wait until the page shows what its link says."""
        self.until(
            lambda: self.run(
                "return document.documentElement.dataset.shown === linkOf(choice)"
                " && !document.getElementById('status').textContent.startsWith('Loading')"
            ),
            "the page is shown",
        )

    def text(self, selector: str) -> str:
        """The text of an element; "" if it is not visible, or not there."""
        return self.run(
            "const one = document.querySelector(given[0]);"
            "return one?.checkVisibility() ? one.innerText : '';",
            selector,
        )

    def problems(self) -> list[str]:
        """The sentences that tell what went wrong."""
        return self.run("return [...document.querySelectorAll('.problem')].map((p) => p.innerText)")

    def click(self, selector: str) -> None:
        """Click on an element as a person does."""
        self.driver.find_element("css selector", selector).click()

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other, on what has the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something, and return it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if found := condition():
                return found
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.02)

    def downloaded(self, name: str) -> bytes:
        """The content of a file that the page gave."""
        path = self.downloads / name
        self.until(path.exists, f"{name} is downloaded")
        return path.read_bytes()

    def errors(self) -> list[str]:
        """What the page told its console, save of files that are missing."""
        return [
            line["message"]
            for line in self.driver.get_log("browser")
            if "Failed to load resource" not in line["message"]
        ]


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser in a with-block; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver_binary = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver_binary is None:
        pytest.skip("chromium and chromium-driver are not installed (apt has them)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    downloads = folder / "downloads"
    downloads.mkdir()
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options, webdriver.ChromeService(driver_binary))
    try:
        driver.set_script_timeout(PATIENCE_S)
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
        )
        yield Browser(driver, downloads)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def browser_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for a process of tests."""
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(browser_session: Browser) -> Browser:
    """A browser that remembers nothing, with a window of the usual size."""
    driver = browser_session.driver
    driver.set_window_size(1280, 900)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.execute_cdp_cmd(
        "Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "local_storage"}
    )
    driver.get("about:blank")
    browser_session.errors()
    for path in browser_session.downloads.iterdir():
        path.unlink()
    return browser_session


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that checks a page by the rules of accessibility."""
    script = AXE / "node_modules/axe-core/axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not installed (npm has it; see .ci/run)")
    return script.read_text("utf-8")
