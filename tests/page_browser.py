"""A real browser for the pages, and what must hold of every page that it shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from page_stub import StubServer

Visit = Callable[..., Page]

TELL_VIOLATIONS = "addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"
CONTROLS = {"button", "textbox", "combobox", "checkbox", "tab", "link", "progressbar", "tablist", "tabpanel", "region"}

LOW_CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const drawn = (colours) => {
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    const linear = [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (!text || !element.checkVisibility() || element.closest("[aria-busy=true] *, [disabled] *, .hidden")) continue;
    const grounds = [];
    for (let one = element; one; one = one.parentElement) grounds.unshift(getComputedStyle(one).backgroundColor);
    const ground = drawn(grounds);
    const letters = drawn([...grounds, getComputedStyle(element).color]);
    const contrast = (Math.max(ground, letters) + 0.05) / (Math.min(ground, letters) + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)} ${element.tagName} ${text.slice(0, 40)}`);
  }
  return found;
}"""
"""Every text on the page that is too pale for its ground, as the browser has computed both."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window, until the block ends; skips where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no chromium and no google-chrome here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_visits(browser: Browser) -> Iterator[Visit]:
    """Gives pages of a server, and at the end holds that nothing went wrong in any of them.

    No message of an error or a warning, no violation of the content policy, no request to another origin. A refusal
    that the test has asked the server for is no error of the page.
    """
    problems: list[str] = []
    refused: list[str] = []

    def visit(server: StubServer, path: str = "/", *, troubled: bool = False, **options: Any) -> Page:
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(10_000)
        page.add_init_script(TELL_VIOLATIONS)
        page.on("console", lambda message: _note(message, refused if troubled else problems, problems))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: _note_stranger(request.url, server.address, problems))
        page.goto(server.address + path)
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")
        return page

    try:
        yield visit
    finally:
        for context in browser.contexts:
            context.close()
    assert problems == []


def _note(message: ConsoleMessage, refused: list[str], problems: list[str]) -> None:
    if message.type in ("error", "warning"):
        (refused if message.text.startswith("Failed to load resource") else problems).append(message.text)


def _note_stranger(url: str, address: str, problems: list[str]) -> None:
    if not url.startswith((f"{address}/", f"blob:{address}/")):
        problems.append(f"a request to {url}")


def nameless_controls(page: Page) -> list[str]:
    """The controls that are shown and have no name for a screen reader, by their role."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    shown = [node for node in tree["nodes"] if not node["ignored"] and node["role"]["value"] in CONTROLS]
    assert shown
    return [node["role"]["value"] for node in shown if not node.get("name", {}).get("value", "").strip()]


def is_wider_than_window(page: Page) -> bool:
    """Whether the page has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))
