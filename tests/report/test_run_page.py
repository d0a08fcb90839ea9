"""The page of one run: all that it must say is on it, it fetches nothing, and a large run stays readable."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from tests.report.market_maker import LONG_WHY, header, run_of
from tests.report.test_markup import EVIL, Balanced
from tests.score.by_hand import Trade, played

from gnomon.report.run_page import run_page
from gnomon.score.run_record import Listing
from gnomon.score.runs import summary
from gnomon.units import HOUR_NS


def text_of(page: str) -> str:
    """What a reader sees, without tags; no-break spaces as spaces."""
    body = re.sub(r"<svg.*?</svg>|<style>.*?</style>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def page() -> str:
    return run_page(run_of(hours=100), header())


def test_a_page_says_what_ran_and_how_to_check_it(page: str) -> None:
    text = text_of(page)
    for expected in (
        "market_maker on BTCUSDT, ETHUSDT",
        "bar-modelled",
        "maker 2 bps, taker 5 bps",
        "feed 20 ms, entry 10 ms, reply 10 ms",
        "half_spread = 5, skew = 0.2",
        "2024-03-01 00:00:00 UTC to 2024-03-05 03:00:00 UTC, 4 d 3 h",
        *header().digests.values(),
        header().fingerprint,
        header().again,
    ):
        assert expected in text, expected


def test_a_page_fetches_nothing_and_runs_nothing(page: str) -> None:
    assert "<script" not in page
    assert not re.search(r'\b(src|srcset)=|@import|href="(?!#)', page)
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)
    assert "default-src 'none'" in page
    Balanced(re.sub(r"<svg.*?</svg>|<style>.*?</style>|<!doctype html>", "", page, flags=re.DOTALL))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_fill_has_its_anchor_and_its_reason(page: str) -> None:
    record = run_of(hours=100)
    assert re.findall(r'<tr id="fill-(\d+)"', page) == [str(number) for number in record.fills.number]
    assert text_of(page).count(LONG_WHY.replace("'", "&#x27;")) == len(record.fills)
    assert '<a href="#fill-1">1</a>' in page


def test_of_many_fills_the_first_and_the_last_are_listed() -> None:
    many = played([100.0, 101.0], [Trade(n, 1 if n % 2 else -1, 100.0) for n in range(1, 201)], lots=[5])
    page = run_page(many, header(), most_fills=20)
    listed = [int(one) for one in re.findall(r'<tr id="fill-(\d+)"', page)]
    assert listed == [*range(1, 11), *range(191, 201)]
    assert "The first 10 and the last 10 of 200." in text_of(page)
    led_to = {int(one) for one in re.findall(r'<a href="#fill-(\d+)"', page)}
    assert led_to == set(listed), "a link leads somewhere"


def test_refusals_are_counted_by_code_and_listed(page: str) -> None:
    text = text_of(page)
    assert "3 orders refused, by code: -2010: 2, -1013: 1." in text
    assert "refused: -1013" in text


def test_buy_and_hold_stands_beside_the_run() -> None:
    record = run_of(hours=100)
    found = summary(record, hold_fee=0.001)
    text = text_of(run_page(record, header(), found))
    assert "bought for a fee of 0.100 %" in text
    assert f"{100 * found.hold.total_return:.2f} %".replace("-", "−") in text


def test_a_run_that_did_nothing_has_a_page() -> None:
    text = text_of(run_page(played([100.0, 101.0]), header(labels=(), rules={}, params={}, digests={}, fingerprint="")))
    for expected in (
        "No order was filled as a maker.",
        "No order was refused.",
        "Fills None.",
        "the ratios say little",
    ):
        assert expected in text, expected
    assert "Round trips" not in re.findall(r"<h2>(.*?)</h2>", run_page(played([100.0]), header()))


def test_names_from_outside_are_text() -> None:
    record = replace(run_of(hours=50), run=EVIL, listings=(Listing(EVIL, "BTC"), Listing("ETHUSDT", "ETH")))
    page = run_page(record, header(trader=EVIL, labels=(EVIL,), rules={EVIL: EVIL}, again=EVIL))
    assert "<script" not in page


def test_more_instruments_than_can_be_drawn_are_counted() -> None:
    many = played(np.full((3, 8), 10.0), [Trade(HOUR_NS, 1, 10.0)], symbols=[f"C{n}USDT" for n in range(8)])
    page = run_page(many, header())
    assert "2 further instruments of the run are not drawn." in text_of(page)
    assert 'id="price-5"' in page
    assert 'id="price-6"' not in page


def test_a_large_run_stays_a_page() -> None:
    hours = 20_000
    price = 100.0 + np.random.default_rng(1).normal(0, 1, hours).cumsum() * 0.01
    trades = [Trade(n * HOUR_NS, 1 if n % 2 else -1, float(price[n])) for n in range(1, hours - 1)]
    assert len(run_page(played(price, trades), header())) < 3_000_000
