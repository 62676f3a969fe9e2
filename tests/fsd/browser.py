"""Test support: headless Chromium of the distribution, driven by its own chromedriver; nothing is fetched."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

# One switch a line: no service of the browser's maker is asked for anything.
_SWITCHES = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--lang=en",
)


class Browser:
    """A page in Chromium, and what its developer tools tell of it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self.cdp("Network.enable")

    def cdp(self, command: str, **parameters: Any) -> dict[str, Any]:
        """A command of the Chrome DevTools protocol."""
        return dict(self.driver.execute_cdp_cmd(command, parameters))

    def look(self, width: int, scheme: str) -> None:
        """A screen of `width` pixels, for a reader who prefers `scheme` (light or dark)."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str, *arguments: object) -> Any:
        """What a function's body returns, run in the page."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """The text that is shown of all that match; "" where nothing does."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join('\\n')"
        return str(self.run(script, selector))

    def complaints(self) -> Sequence[str]:
        """What the console was told since the last call: errors and warnings, also of the policy."""
        return [str(line["message"]) for line in self.driver.get_log("browser")]

    def requests(self) -> Sequence[str]:
        """The addresses that the page asked for since the last call."""
        events = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [str(each["request"]["url"]) for each in sent]

    def picture(self) -> bytes:
        """All of the page, as PNG."""
        return base64.b64decode(self.cdp("Page.captureScreenshot", captureBeyondViewport=True)["data"])


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser, until the block ends. Skips, loudly, where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("THE PAGE IS NOT TESTED: apt install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = chromium
    switches = _SWITCHES if os.geteuid() else (*_SWITCHES, "--no-sandbox")  # it will not have root in one
    for switch in switches:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service(driver))
    try:
        yield Browser(chrome)
    finally:
        chrome.quit()
