"""A real headless Chromium (Debian's) for tests of the dashboard, driven through chromedriver.

Nothing is downloaded: both programs are Debian's, by path. Every request and every console message is kept.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from support import process
from support.bridge_process import eventually

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

# For each text that is shown: its colour against what is behind it, as WCAG 2 reckons it (w3.org/TR/WCAG22).
CONTRASTS = """
const luminance = ([r, g, b]) => {
  const [R, G, B] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * R + 0.7152 * G + 0.0722 * B;
};
const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length === 3 ? [...n, 1] : n; };
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const colour = rgba(getComputedStyle(node).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return [255, 255, 255, 1];
};
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const text = [...node.childNodes].filter((c) => c.nodeType === 3).map((c) => c.data.trim()).join("");
  const box = node.getBoundingClientRect();
  if (!text || box.width <= 1 || node.closest(".unseen, noscript, script, [hidden]")) continue;
  const style = getComputedStyle(node);
  const [a, b] = [rgba(node instanceof SVGElement ? style.fill : style.color), behind(node)].map(luminance);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const size = parseFloat(style.fontSize);
  found.push([text.slice(0, 40), ratio, size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5]);
}
return found;
"""


class Browser:
    """One browser with one window, used by one test after another."""

    def __init__(self, folder: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(str(CHROMEDRIVER), env=process.environment())
        self.driver = webdriver.Chrome(options=options, service=service)

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page afresh, in a window of this size."""
        self.driver.get("about:blank")
        self.requests()
        self.console()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """The result of a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """The text of the first such element as it is shown; empty without one."""
        with contextlib.suppress(StaleElementReferenceException):
            return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))
        return ""

    def texts(self, selector: str) -> list[str]:
        """The texts of all such elements."""
        return list(self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector))

    def wait_text(self, selector: str, expected: str, deadline_s: float = 40.0) -> str:
        """Wait until the element's text has `expected` in it; the text."""
        return eventually(
            lambda: expected in (text := self.text(selector)) and text,
            lambda: f"{expected!r} in {selector}, which has {self.text(selector)!r}\n{self.text('main')}",
            deadline_s,
        )

    def tab(self) -> None:
        """Press the tabulator key."""
        ActionChains(self.driver).send_keys(Keys.TAB).perform()

    def requests(self) -> list[str]:
        """The addresses asked for since the last call, by whatever in the page."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def console(self) -> list[str]:
        """What the console had to say since the last call: errors, warnings, violations of the policy."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def close(self) -> None:
        """End it."""
        self.driver.quit()
