"""Titles as calendars really spell them, and the kind each one has."""

from __future__ import annotations

import pytest

from gnomon.errors import Invalid
from gnomon.sources.calendar.kinds import DECLARED, classify, declared

FED = """
FOMC Statement | Federal Open Market Committee Statement | FOMC Rate Decision | FOMC Interest Rate Decision
FOMC Rate Decision (Upper Bound) | FOMC Rate Decision (Lower Bound) | FOMC Meeting | FOMC Meeting Announcement
Fed Interest Rate Decision | Fed Rate Decision | Federal Funds Rate | Fed Funds Target Rate | Interest Rate Decision
Fed Monetary Policy Statement | FOMC Statement & Federal Funds Rate
"""
CPI = """
CPI m/m | CPI (MoM) | CPI MoM | CPI (MoM) (Aug) | CPI MoM (Aug) | Inflation Rate MoM | Consumer Price Index (MoM)
CPI | US CPI | U.S. CPI | Consumer Price Index | CPI y/y | CPI (YoY) | Inflation Rate YoY | Consumer Price Index (YoY)
"""
NFP = """
Nonfarm Payrolls | Non-Farm Employment Change | Non Farm Payrolls | Non Farm Payrolls (Aug) | Change in Nonfarm Payrolls
Employment Situation | The Employment Situation | US Employment Situation | NFP | Nonfarm Payroll Employment
Nonfarm Payrolls (Sep) | Total Nonfarm Payrolls | Non-Farm Payrolls
"""
GDP = """
Advance GDP q/q | Prelim GDP q/q | Final GDP q/q | GDP Growth Rate QoQ Adv | GDP Growth Rate QoQ 2nd Est
GDP Growth Rate QoQ Final | GDP (QoQ) | GDP (QoQ) (Q2) | GDP Annualized QoQ | Gross Domestic Product Annualized
Gross Domestic Product (Advance Estimate) | GDP | Real GDP (QoQ) | GDP y/y
GDP (Second Estimate), Corporate Profits (Preliminary Estimate), 2nd Quarter 2024
Gross Domestic Product (Third Estimate), Corporate Profits, and GDP by Industry, 2nd Quarter 2024
"""
PCE = """
PCE Price Index MoM | PCE Price Index m/m | PCE Price index (MoM) | PCE Price Index YoY | PCE Price Index
Personal Consumption Expenditures - Price Index (MoM) | Personal Income and Outlays | PCE Deflator MoM
Core PCE Price Index m/m | Core Personal Consumption Expenditures - Price Index (MoM)
"""
OTHER = """
FOMC Minutes | FOMC Meeting Minutes | FOMC Press Conference | FOMC Economic Projections | FOMC Member Powell Speaks
Fed Chair Powell Speaks | Fed Chair Powell Testifies | Fed Press Conference | Fed's Beige Book | Fed Balance Sheet
Interest Rate Projection - 1st Yr | Prime Rate | 30-Year Mortgage Rate | Unemployment Rate | MBA 30-Year Mortgage Rate
Core CPI m/m | CPI ex Food & Energy | Consumer Price Index ex Food & Energy (MoM) | Core Inflation Rate MoM | CPI s.a
CPI Index, n.s.a. | CPI n.s.a (MoM) | Cleveland CPI (MoM) | Michigan Inflation Expectations | PPI m/m
ADP Nonfarm Employment Change | ADP Non-Farm Employment Change | ADP Employment Change | Private Nonfarm Payrolls
Nonfarm Payrolls Private | Government Payrolls | Manufacturing Payrolls | Nonfarm Productivity q/q
Average Hourly Earnings m/m | Nonfarm Payrolls Annual Revision | Initial Jobless Claims | Average Weekly Hours
GDP Price Index QoQ | GDP Deflator | Advance GDP Price Index q/q | GDP Sales QoQ | Atlanta Fed GDPNow
Gross Domestic Product by State | Core PCE Prices QoQ Adv | PCE Prices QoQ | Personal Spending m/m | Personal Income m/m
Real Earnings | US Earnings | ISM Manufacturing PMI | Retail Sales m/m | Bank Holiday
"""
DECISIONS = {
    (
        "EA",
        "ECB",
    ): "Main Refinancing Rate | ECB Interest Rate Decision | ECB Main Refinancing Rate | Minimum Bid Rate | "
    "Deposit Facility Rate | Monetary Policy Statement | Interest Rate Decision",
    ("GB", "BOE"): "Official Bank Rate | BoE Interest Rate Decision | BoE Bank Rate | Monetary Policy Summary",
    ("JP", "BOJ"): "BOJ Policy Rate | BoJ Interest Rate Decision | Monetary Policy Statement | Policy Balance Rate",
    ("AU", "RBA"): "Cash Rate | RBA Interest Rate Decision | RBA Rate Statement | Interest Rate Decision",
    ("CA", "BOC"): "Overnight Rate | BoC Interest Rate Decision | BOC Rate Statement",
    ("CH", "SNB"): "SNB Policy Rate | SNB Interest Rate Decision | SNB Monetary Policy Assessment | Libor Rate",
    ("NZ", "RBNZ"): "Official Cash Rate | RBNZ Interest Rate Decision | RBNZ Rate Statement | Interest Rate Decision",
    ("", "ECB"): "ECB rate decision | European Central Bank Interest Rate Decision",
    ("", "BOJ"): "Bank of Japan rate decision",
}
NO_DECISIONS = {
    "EA": "ECB Press Conference | ECB Monetary Policy Meeting Accounts | ECB President Lagarde Speaks | "
    "ECB Economic Bulletin",
    "GB": "MPC Official Bank Rate Votes | BOE Monetary Policy Report | Asset Purchase Facility | BoE MPC Vote Hike | "
    "Average Earnings Index 3m/y",
    "JP": "BOJ Outlook Report | BOJ Press Conference | Monetary Policy Meeting Minutes | BOJ Summary of Opinions",
    "AU": "RBA Monetary Policy Statement | Monetary Policy Meeting Minutes | Trimmed Mean CPI q/q | Employment Change",
    "CA": "BOC Monetary Policy Report | BOC Press Conference | Median CPI y/y",
    "CH": "SNB Press Conference",
    "NZ": "RBNZ Press Conference | Inflation Expectations q/q",
    "CN": "PBoC Interest Rate Decision | Loan Prime Rate 1Y",
    "SE": "Riksbank Rate Decision",
}


def spellings(text: str) -> list[str]:
    return [one.strip() for line in text.strip().splitlines() for one in line.split(" | ")]


@pytest.mark.parametrize(
    ("kind", "titles"),
    [("fomc", FED), ("cpi", CPI), ("nfp", NFP), ("gdp", GDP), ("pce", PCE), ("other", OTHER)],
)
def test_every_real_spelling_has_its_kind(kind: str, titles: str) -> None:
    found = {title: classify(title, "US").kind for title in spellings(titles)}
    assert found == dict.fromkeys(found, kind)
    shouted = {title: classify(f"  {title.upper()} ", "US").kind for title in spellings(titles)}
    assert shouted == dict.fromkeys(shouted, kind)


def test_the_decision_of_the_fed_is_the_fomc_statement() -> None:
    assert {classify(title, "US").subject for title in spellings(FED)} == {"FED"}


def test_a_decision_belongs_to_its_bank() -> None:
    for (country, bank), titles in DECISIONS.items():
        for title in spellings(titles):
            found = classify(title, country)
            assert (found.kind, found.subject) == ("rate_decision", bank), title


def test_talk_about_rates_and_banks_that_nobody_follows_are_no_decisions() -> None:
    for country, titles in NO_DECISIONS.items():
        for title in spellings(titles):
            assert classify(title, country).kind == "other", title


def test_of_the_lines_of_a_release_the_headline_ranks_first() -> None:
    for titles in (
        ["CPI m/m", "CPI", "CPI y/y"],
        ["Federal Funds Rate", "FOMC Statement", "FOMC Rate Decision (Lower Bound)"],
        ["Main Refinancing Rate", "Monetary Policy Statement", "Deposit Facility Rate"],
        ["PCE Price Index MoM", "PCE Price Index YoY", "Core PCE Price Index MoM"],
        ["Nonfarm Payrolls", "Employment Situation"],
        ["GDP Growth Rate QoQ Adv", "GDP", "GDP y/y"],
    ):
        ranks = [classify(title, "EA" if "Refinancing" in titles[0] else "US").rank for title in titles]
        assert ranks == sorted(set(ranks)), titles


@pytest.mark.parametrize(
    ("title", "share"),
    [
        ("AAPL Earnings", "AAPL"),
        ("Apple Inc. (AAPL) Q3 2024 Earnings", "AAPL"),
        ("NVDA Q2 Earnings Release", "NVDA"),
        ("Berkshire (BRK.B) Earnings Call", "BRK.B"),
        ("TSLA Earnings Q4 2024", "TSLA"),
    ],
)
def test_earnings_are_of_a_share_that_the_title_names(title: str, share: str) -> None:
    assert (classify(title).kind, classify(title).subject) == ("earnings", share)


def test_what_the_caller_says_of_a_title_wins() -> None:
    assert classify("CPI  Y/Y", "US", {"cpi y/y": "cpi"}).rank == DECLARED
    assert classify("CPI m/m", "US", {"CPI m/m": "other"}).kind == "other"


def test_a_kind_can_be_declared_and_one_that_does_not_exist_is_refused() -> None:
    assert declared("Rate Decision").kind == "rate_decision"
    assert declared("FOMC").subject == "FED"
    with pytest.raises(Invalid, match="kind is 'payrolls'") as error:
        declared("payrolls")
    assert "nfp" in error.value.hint
