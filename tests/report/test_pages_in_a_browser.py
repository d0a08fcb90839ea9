"""The pages in a real browser: nothing is fetched, nothing is cut, no words lie on each other, light and dark, wide and
narrow, on paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report.market_maker import header, run_of

from gnomon.report.comparison import Entrant, comparison_page
from gnomon.report.run_page import run_page

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

OUTSIDE = """() => [...document.querySelectorAll('section, header')].flatMap(card => {
  const edge = card.getBoundingClientRect();
  return [...card.querySelectorAll('*')].filter(one => {
    if (one.closest('.scroll, defs, clipPath')) return false;
    const box = one.getBoundingClientRect();
    return box.width && (box.right > edge.right + 1 || box.left < edge.left - 1);
  }).map(one => one.tagName + ' ' + (one.textContent || '').trim().slice(0, 40));
})"""
"""What sticks out of its card; a table may scroll in its own box."""

COLLIDING = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
  if (!svg.getBoundingClientRect().width) return [];
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll('text')].map(one => [one.textContent, one.getBoundingClientRect()]);
  const cut = texts.filter(([, a]) => a.left < frame.left - 1 || a.right > frame.right + 1
                                   || a.top < frame.top - 1 || a.bottom > frame.bottom + 1);
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  const over = texts.flatMap(([x, a], i) =>
    texts.slice(i + 1).filter(([, b]) => meet(a, b)).map(([y]) => x + ' | ' + y));
  return [...cut.map(([x]) => 'cut: ' + x), ...over];
})"""
"""Words of a chart that are cut off or lie on each other."""

UNREADABLE = """() => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const card = light(getComputedStyle(document.querySelector('section')).backgroundColor);
  const seen = [...document.querySelectorAll('p, td, th, dt, dd, li, svg text, .gain, .loss')];
  return [...new Set(seen.map(one => one.closest('svg') ? getComputedStyle(one).fill : getComputedStyle(one).color))]
    .filter(colour => (Math.max(card, light(colour)) + 0.05) / (Math.min(card, light(colour)) + 0.05) < 4.5);
}"""
"""Colours of words with less than 4.5 : 1 against their card (WCAG 2 AA)."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = [Entrant(run_of(n, run=f"run_01JD8Z6S1QXW3N5K0T7V9B2C4{n}", hours=300), header(seed=n)) for n in range(1, 4)]
    made = {"run": run_page(runs[0].record, header()), "comparison": comparison_page(runs, trials=40)}
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.mark.parametrize("name", ["run", "comparison"])
@pytest.mark.parametrize("width", [400, 760, 1400])
def test_nothing_is_cut_or_covered_at_any_width(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        faults: list[str] = []
        asked: list[str] = []
        page.on("console", lambda one, faults=faults: faults.append(one.text))
        page.on("pageerror", lambda one, faults=faults: faults.append(str(one)))
        page.on("request", lambda one, asked=asked: asked.append(one.url))
        page.goto(pages[name].as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(COLLIDING) == []
        assert page.evaluate(UNREADABLE) == []
        assert page.locator("svg:visible").count() == {"run": 4, "comparison": 1}[name]
        assert faults == []
        assert asked == [pages[name].as_uri()]
        context.close()


def test_type_in_charts_is_as_large_as_type_beside_them(browser: Any, pages: dict[str, Path]) -> None:
    for width in (400, 1400):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(pages["run"].as_uri())
        heights = page.evaluate("[...document.querySelectorAll('svg text')].map(x => x.getBoundingClientRect().height)")
        shown = [height for height in heights if height]
        assert min(shown) >= 12
        assert max(shown) <= 20
        page.close()


def test_a_round_trip_leads_to_its_fill(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(pages["run"].as_uri())
    link = page.locator("#round-trips a").first
    target = link.get_attribute("href")
    before = page.locator(target).evaluate("one => getComputedStyle(one).backgroundColor")
    link.click()
    assert page.locator(":target").get_attribute("id") == target.removeprefix("#")
    assert page.locator(target).evaluate("one => getComputedStyle(one).backgroundColor") != before
    assert page.locator(target).evaluate("one => one.getBoundingClientRect().top") < 900
    page.close()


def test_on_paper_it_is_light_and_wide(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 700, "height": 900}, color_scheme="dark")
    page.goto(pages["run"].as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".wide:visible").count() == 4
    assert page.locator(".narrow:visible").count() == 0
    assert page.evaluate(OUTSIDE) == []
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
