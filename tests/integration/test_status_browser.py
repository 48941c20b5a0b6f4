"""The status page in a real Chromium: it fits a desk and a phone, fetches nothing, and says when it is old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.status.document import Document
from ops.status.page import page

from ..status_samples import hostile, troubled, well
from ..waiting import wait_until
from .fix_browser import Browser, browser

pytestmark = pytest.mark.integration

DOCUMENTS = {"well": well, "troubled": troubled, "hostile": hostile}
LONG = 10**9  # seconds that a page is good for whose document is of another day


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


def written(folder: Path, document: Document, *, good_for: int = LONG) -> str:
    """The address of a page in a file."""
    file = folder / "status.html"
    file.write_text(page(document, good_for=good_for), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("width", [1280, 820, 390])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_page_fits_its_window_fetches_nothing_and_nothing_in_it_fails(
    chromium: Browser, tmp_path: Path, name: str, width: int
) -> None:
    seen = chromium.show(written(tmp_path, DOCUMENTS[name]()), width=width)
    assert (seen.requests, seen.console) == ([], [])
    assert chromium.value("document.documentElement.scrollWidth") <= width
    # Nor is anything cut off inside: no box is wider than the one around it shows.
    cut = "[...document.querySelectorAll('main *:not(svg *):not(.hidden):not(caption)')]"
    cut += ".filter((one) => one.getClientRects().length && one.getBoundingClientRect().right > innerWidth + 1).length"
    assert chromium.value(cut) == 0
    assert chromium.value("document.querySelectorAll('script, img').length") == 1, "the one script is ours"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_told_from_what_is_behind_it(chromium: Browser, tmp_path: Path, *, dark: bool) -> None:
    chromium.show(written(tmp_path, troubled()), width=1280, dark=dark)
    poor = chromium.value(_CONTRAST)
    assert poor == [], "text with a contrast below 4.5 to 1 (WCAG AA)"
    background = chromium.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background.strip("rgb()").split(","))) < 128 * 3) == dark


def test_the_page_says_that_it_is_old_once_it_is(chromium: Browser, tmp_path: Path) -> None:
    lately = datetime.now(UTC) - timedelta(seconds=20)
    address = written(tmp_path, well().model_copy(update={"taken": lately}), good_for=22)
    chromium.show(address, width=390)
    hidden = "document.getElementById('old').hidden"
    wait_until("it says that it is old", lambda: not chromium.value(hidden), deadline=20)
    assert "old" in chromium.value("document.getElementById('old').textContent")
    assert chromium.value("document.body.classList.contains('is-old')")


def test_a_page_that_is_fresh_does_not_call_itself_old(chromium: Browser, tmp_path: Path) -> None:
    chromium.show(written(tmp_path, well().model_copy(update={"taken": datetime.now(UTC)}), good_for=3600), width=390)
    assert chromium.value("document.getElementById('old').hidden")
    assert chromium.value("document.getElementById('age').textContent").endswith("ago")


# The texts whose colour is too near to that of the nearest background behind them.
_CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *:not(script):not(svg *)")]
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
    .filter((one) => {
      const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    })
    .map((one) => `${one.className} ${one.textContent.trim().slice(0, 40)}`);
})()
"""
