"""The page in a real browser, over a real gateway process on a synthetic store."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.processes import end

from gnomon.clock import SimClock, Timeframe, iso
from gnomon.jobs.evaluate import Span, evaluate
from gnomon.jobs.predict import Plan, predict, subjects
from gnomon.market.dataset import Passport
from gnomon.market.synth import synthetic_candles
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.store import Store
from gnomon.units import DAY_NS
from gnomon.wallclock import WallClock

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FORECASTERS = ("ewma", "fhs", "seasonal")
PATIENCE_S = 600.0  # only what hangs takes so long
HOURLY = Timeframe.parse("1h")


def fill(home: Path) -> None:
    """Two months of synthetic bars up to now, a walk-forward over twelve days, and a live forecast."""
    store, instruments = Store.open(f"sqlite:///{home / 'gnomon.db'}", home / "datasets"), shipped_instruments()
    clock = SimClock(WallClock().now_ns())  # one moment: no hour ends in between
    now_ns = clock.now_ns()
    for symbol in ("BTCUSDT", "EURUSD"):
        instrument = instruments.find(symbol)
        sessions = load_sessions(instrument.calendar)
        bars = synthetic_candles(instrument, sessions, HOURLY, now_ns - 60 * DAY_NS, now_ns, seed=3)
        store.market.record(Passport.of([bars], f"synthetic-{symbol}"), [bars], [instrument], recorded_ns=now_ns)
    plan = Plan(tuple(subjects(store, instruments, HOURLY)), HOURLY, 24, FORECASTERS)
    evaluate(store, plan, Span(now_ns - 12 * DAY_NS, now_ns, 12), clock)
    predict(store, plan, clock)
    store.engine.dispose()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `gnomon serve gateway`, a process of its own."""
    home = tmp_path_factory.mktemp("home")
    fill(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gnomon.cli", "serve", "gateway", "--port", str(port)],
        env={**os.environ, "GNOMON_HOME": str(home), "GNOMON_SOURCES": "none"},
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process)
        yield address
    finally:
        end(process)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=PATIENCE_S).close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the gateway did not come up (exit {process.poll()})")


def data(gateway: str, path: str) -> Any:
    with urllib.request.urlopen(gateway + path, timeout=PATIENCE_S) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            timeout=PATIENCE_S * 1_000,
        )
        yield browser
        browser.close()


class Tab:
    """A page, and what went wrong on it."""

    def __init__(self, browser: Any, gateway: str, **options: Any) -> None:
        self.gateway = gateway
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.set_default_timeout(PATIENCE_S * 1_000)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda one: self.faults.append(one.text) if one.type in ("error", "warning") else None)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, query: str = "") -> Any:
        self.page.goto(f"{self.gateway}/{query}")
        return self.settle()

    def settle(self) -> Any:
        """Wait until everything that was asked is answered."""
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_selector("form:not(.busy)")
        return self.page

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the page will soon show (its policy allows no script of ours to be evaluated)."""
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until, "it did not come"
            self.page.wait_for_timeout(50)

    def text(self, selector: str) -> str:
        return " ".join(self.page.inner_text(selector).split())

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()


@pytest.fixture
def tab(browser: Any, gateway: str, request: pytest.FixtureRequest) -> Iterator[Tab]:
    one = Tab(browser, gateway, **getattr(request, "param", {}))
    yield one
    one.context.close()


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


FHS = "?symbol=BTCUSDT&timeframe=1h&model=fhs"


def test_the_page_draws_candles_fan_and_cutoff_from_the_gateway_alone(tab: Tab, tmp_path: Path) -> None:
    tab.open(FHS)
    assert 90 <= tab.count("#chart .candles rect") <= 120
    assert [tab.count(f"#chart .fan .{kind}") for kind in ("band-90", "band-80", "band-50")] == [1, 1, 1]
    assert (tab.count("#chart .median"), tab.count("#chart .naive path"), tab.count("#chart .base")) == (1, 2, 1)
    assert tab.page.text_content("#chart .cutoff > text") == "cutoff"
    assert tab.count("#chart .axis text") >= 8
    assert tab.faults == []
    assert {url.split("/")[2] for url in tab.asked} == {tab.gateway.split("/")[2]}
    assert len(tab.page.screenshot(path=tmp_path / "light.png", full_page=True)) > 30_000


def test_the_fan_lies_where_the_numbers_are(tab: Tab) -> None:
    found = data(tab.gateway, "/showcase/ml-prediction/BTCUSDT?model=fhs&include=quantiles,baseline")
    tab.open(FHS)
    (x0, y0), *median = points(tab.page.locator("#chart .median").get_attribute("d"))
    outline = points(tab.page.locator("#chart .band-80").get_attribute("d").replace("Z", ""))
    upper, lower = outline[1:25], outline[-2:24:-1]
    base = found["base_price"]
    scale = (y0 - upper[-1][1]) / (found["p90"][-1] - base)  # pixels of a unit of price
    for name, curve in (("p90", upper), ("p50", median), ("p10", lower)):
        assert len(curve) == 24
        for value, (_, y) in zip(found[name], curve, strict=True):
            rounding = 0.1 + 0.1 * abs(value - base) / abs(found["p90"][-1] - base)  # of each end, and of the scale
            assert y0 - y == pytest.approx((value - base) * scale, abs=rounding)
    steps = [x - x0 for x, _ in median]
    assert steps == pytest.approx([steps[-1] * (i + 1) / 24 for i in range(24)], abs=0.2)
    naive = points(tab.page.locator("#chart .naive path").nth(1).get_attribute("d"))[1:]
    for value, (_, y) in zip(found["baseline"]["p90"], naive, strict=True):
        assert y0 - y == pytest.approx((value - base) * scale, abs=0.15)


def test_facts_are_shown_with_their_ages_and_the_verdict_is_the_boards(tab: Tab) -> None:
    found = data(tab.gateway, "/showcase/ml-prediction/BTCUSDT?model=fhs")
    tab.open(FHS)
    facts = tab.text("#facts")
    for part in ("Data cutoff", "Issued", "ago", "Naive says", found["row_hash"][:12], found["model_version"]):
        assert part in facts
    assert f"{found['base_price']:,.2f}" in facts
    times = [one.get_attribute("datetime") for one in tab.page.locator("#facts time").all()]
    assert times[0].replace(".000Z", "Z") == found["data_cutoff"]
    assert tab.text("#badges").startswith("fresh: issued")
    assert tab.text("#verdict") == "○ fhs on BTCUSDT 1h: nothing scored yet"
    assert tab.text("#board caption") == "No live forecast is scored yet. In the walk-forward:"
    rows = data(tab.gateway, "/api/v1/board?timeframe=1h&symbol=BTCUSDT&lane=backfill")["board"]
    mine = next(row for row in rows if (row["forecaster"], row["instrument"]) == ("fhs", "binance:BTCUSDT"))
    assert mine["verdict"] in tab.text("#board tr.mine")
    assert "the reference" in tab.text("#board tr.reference")


def test_the_crosshair_reads_single_bars_by_pointer_and_by_keys(tab: Tab) -> None:
    found = data(tab.gateway, "/showcase/ml-prediction/BTCUSDT?model=fhs")
    bars = data(tab.gateway, "/api/v1/candles?symbol=BTCUSDT&timeframe=1h")["items"]
    page = tab.open(FHS)
    page.focus("#chart")
    page.keyboard.press("End")
    assert f"step 24: median {found['p50'][-1]:,.2f}" in tab.text("#readout")
    assert f"80 % {found['p10'][-1]:,.2f} … {found['p90'][-1]:,.2f}" in tab.text("#readout")
    assert "naive" in tab.text("#readout")
    page.keyboard.press("ArrowLeft")
    assert "step 23" in tab.text("#readout")
    page.keyboard.press("Home")
    assert "O " in tab.text("#readout")
    page.keyboard.press("Escape")
    assert tab.text("#readout").startswith("newest bar")
    box = page.locator("#chart").bounding_box()
    x = float(page.locator("#chart .candles rect").last.get_attribute("x")) + 2
    page.mouse.move(box["x"] + x, box["y"] + 50)
    assert f"C {bars[-1]['close']:,.2f}" in tab.text("#readout")
    assert tab.count("#chart .cursor circle") == 1


def test_what_is_chosen_stands_in_the_address_and_goes_back(tab: Tab) -> None:
    page = tab.open()
    first = page.url
    assert "symbol=BTCUSDT" in first
    page.select_option("#symbol", "EURUSD")
    tab.settle()
    page.select_option("#model", "seasonal")
    tab.settle()
    assert tab.text("#title") == "EURUSD 1h"
    assert "seasonal" in tab.text("#facts")
    assert "symbol=EURUSD" in page.url
    assert "model=seasonal" in page.url
    page.reload()
    tab.settle()
    assert "seasonal" in tab.text("#facts")
    page.go_back()
    page.go_back()
    tab.settle()
    tab.until(lambda: tab.text("#title").startswith("BTCUSDT"))
    assert page.url == first


def test_the_naive_forecast_says_that_it_is_the_naive_one(tab: Tab) -> None:
    tab.open("?symbol=BTCUSDT&timeframe=1h&model=ewma")
    assert tab.count("#chart .naive path") == 0
    assert "this is the naive forecast itself" in tab.text("#legend")


def test_a_walk_forward_is_walked_issue_by_issue_beside_what_came(tab: Tab) -> None:
    page = tab.open(f"{FHS}&lane=backfill")
    assert tab.text("#badges") == "walk-forward"
    assert tab.count("#chart .candles rect.later") == 24
    assert page.is_disabled("#later")
    cutoff = page.locator("#facts time").first
    cutoffs = [cutoff.get_attribute("datetime")]
    for _ in range(2):
        page.click("#earlier")
        tab.until(lambda: cutoff.get_attribute("datetime") != cutoffs[-1])
        cutoffs.append(cutoff.get_attribute("datetime"))
    assert cutoffs == sorted(cutoffs, reverse=True)
    page.click("#later")
    tab.until(lambda: cutoff.get_attribute("datetime") == cutoffs[1])
    rows = data(tab.gateway, "/api/v1/board?timeframe=1h&symbol=BTCUSDT&lane=backfill")["board"]
    mine = next(row for row in rows if (row["forecaster"], row["instrument"]) == ("fhs", "binance:BTCUSDT"))
    assert tab.text("#verdict") == f"○ fhs on BTCUSDT 1h, walk-forward: {mine['verdict']}"
    assert tab.faults == []


def test_a_forecaster_that_has_issued_nothing_is_an_honest_empty_page(tab: Tab) -> None:
    page = tab.open("?symbol=BTCUSDT&timeframe=1h&model=kronos-base")
    assert tab.text("#notice h2") == "Nothing issued yet"
    assert "gnomon forecast --timeframe 1h --horizon 24 --instruments BTCUSDT" in tab.text("#notice code")
    assert not page.is_visible("#forecast")
    page.click("#notice button:has-text('seasonal')")
    tab.settle()
    assert not page.is_visible("#notice")
    assert "seasonal" in tab.text("#facts")


def test_an_unknown_symbol_is_told_the_nearest(tab: Tab) -> None:
    tab.open("?symbol=BTCUSDX&timeframe=1h&model=ewma")
    assert "no instrument 'BTCUSDX'" in tab.text("#notice")
    assert "did you mean BTCUSDT" in tab.text("#notice")


def test_a_gateway_that_is_away_is_said_and_tried_again(tab: Tab) -> None:
    page = tab.open(FHS)
    tab.context.set_offline(True)
    page.select_option("#model", "seasonal")
    page.wait_for_selector("#notice:not([hidden])")
    assert "The gateway does not answer." in tab.text("#notice")
    tab.context.set_offline(False)
    page.click("#notice button:has-text('Try again')")
    page.wait_for_selector("#notice", state="hidden")
    assert "seasonal" in tab.text("#facts")


def test_a_forecast_grows_stale_before_the_readers_eyes(tab: Tab) -> None:
    tab.page.clock.install()
    page = tab.open(FHS)
    assert tab.count("#badges .fresh") == 1
    page.clock.fast_forward("03:00:00")
    page.wait_for_selector("#badges .stale")
    assert "the next issue is overdue" in tab.text("#badges")
    assert tab.count("#stage.stale") == 1


def test_a_refresh_that_fails_leaves_what_was_there_and_says_so(tab: Tab) -> None:
    tab.page.clock.install()
    page = tab.open(FHS)
    facts = tab.text("#facts dd")
    tab.context.set_offline(True)
    page.clock.fast_forward("01:01")
    tab.until(lambda: "the gateway does not answer" in tab.text("#badges"))
    assert tab.text("#facts dd") == facts
    assert not page.is_visible("#notice")
    tab.context.set_offline(False)
    page.clock.fast_forward("01:01")
    tab.until(lambda: "does not answer" not in tab.text("#badges"))


def test_the_table_twin_has_every_step(tab: Tab) -> None:
    found = data(tab.gateway, "/showcase/ml-prediction/BTCUSDT?model=fhs")
    page = tab.open(FHS)
    page.click("#table summary")
    rows = page.locator("#steps tbody tr")
    assert rows.count() == 24
    cells = [cell.inner_text() for cell in rows.last.locator("td").all()]
    assert [number(cells[i]) for i in (2, 3, 4)] == pytest.approx(
        [found[p][-1] for p in ("p10", "p50", "p90")], abs=0.01
    )


@pytest.mark.parametrize("tab", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True)
def test_words_can_be_read_in_either_theme_and_the_toggle_changes_it(tab: Tab, tmp_path: Path) -> None:
    page = tab.open(FHS)
    for _ in range(2):
        for selector in ("#title", "#facts dt", "#legend li", "#badges span", "#verdict", ".note", "footer p"):
            assert page.evaluate(CONTRAST, selector) >= 4.5, (
                selector,
                page.evaluate("document.documentElement.dataset.theme"),
            )
        page.screenshot(path=tmp_path / "theme.png")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#theme")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.click("#theme")
    chosen = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    tab.settle()
    assert page.evaluate("document.documentElement.dataset.theme") == chosen


@pytest.mark.parametrize("tab", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_on_a_phone_nothing_overflows_and_targets_are_large(tab: Tab, tmp_path: Path) -> None:
    page = tab.open(FHS)
    for query in (FHS, f"{FHS}&lane=backfill", "?symbol=BTCUSDT&timeframe=1h&model=kronos-base"):
        tab.open(query)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        is_small = "e.offsetParent && e.offsetHeight < 24"
        small = page.evaluate(
            f"[...document.querySelectorAll('button, select')].filter(e => {is_small}).map(e => e.id)"
        )
        assert small == []
    tab.open(FHS)
    assert tab.count("#chart .candles rect") >= 24
    page.locator("#chart").tap(position={"x": 300, "y": 100})
    assert "step" in tab.text("#readout")
    page.screenshot(path=tmp_path / "phone.png", full_page=True)


def test_everything_can_be_reached_and_is_named_for_those_who_do_not_see(tab: Tab) -> None:
    page = tab.open(FHS)
    focused = "document.activeElement.id || document.activeElement.name"
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused))
    expected = ["theme", "symbol", "timeframe", "model", "lane", "chart", "board"]
    assert [one for one in reached if one in expected][:7] == expected
    assert "Candles and forecast fan of BTCUSDT 1h" in page.locator("#chart").get_attribute("aria-label")
    assert "fhs sees BTCUSDT at" in tab.text("#summary")
    named = "e.labels?.length || e.ariaLabel || e.textContent.trim()"
    unnamed = page.evaluate(f"[...document.querySelectorAll('select, input, button')].filter(e => !({named})).length")
    assert unnamed == 0
    assert tab.count("h1") == 1


def test_ages_are_of_the_machines_time(gateway: str) -> None:
    health = data(gateway, "/health")
    assert health["newest_issue"]["1h"]["age_seconds"] < 600
    assert health["newest_issue"]["1h"]["issued_at"] < iso(WallClock().now_ns())


CONTRAST = """
(selector) => {
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const colors = (element) => getComputedStyle(element);
  const element = document.querySelector(selector);
  let behind = element;
  while (colors(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement ?? document.body;
  const [a, b] = [luminance(colors(element).color), luminance(colors(behind).backgroundColor)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""
