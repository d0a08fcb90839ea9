"""What kind of event a title names, whatever calendar spelled it.

A release has several lines: CPI comes by the month and by the year, with and without food and energy; a decision has a
rate, a statement and votes. One line carries the kind, and the rank says which: the lowest rank among the lines of one
country (or bank) and instant. The others are `other`. A line of rank `LAST` never carries it.

| kind            | rank 0                              | then                                 |
|-----------------|-------------------------------------|--------------------------------------|
| `fomc`          | the federal funds rate              | the statement, the meeting           |
| `cpi`           | over the month or quarter           | no period said, over the year        |
| `nfp`           | nonfarm payrolls                    | the employment situation as a whole  |
| `gdp`           | over the quarter, annualised, an estimate | over the month, over the year  |
| `pce`           | the price index over the month      | no period said, the year, the core   |
| `rate_decision` | the policy rate                     | the bank's statement                 |
| `earnings`      | a report of a share that is named   |                                      |

The decision of the FED is the FOMC statement (`market.events`), so it is of kind `fomc`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from gnomon.errors import Invalid
from gnomon.market.events import EVENT_KINDS, EventKind
from gnomon.sources.calendar.places import BANKS

DECLARED: Final = -1
"""The rank of a line whose kind was said and not read from its title: it never gives way."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The kind of a line, its subject (a code, a bank or a share; "" where the title does not say), and its rank."""

    kind: EventKind
    subject: str = ""
    rank: int = 0


_OTHER: Final = Classified("other")

_BANK_NAMES: Final = {
    "FED": r"fed|fomc|federal reserve|federal open market committee|federal funds|fed funds",
    "ECB": r"ecb|european central bank",
    "BOE": r"boe|bank of england",
    "BOJ": r"boj|bank of japan",
    "RBA": r"rba|reserve bank of australia",
    "BOC": r"boc|bank of canada",
    "SNB": r"snb|swiss national bank",
    "RBNZ": r"rbnz|reserve bank of new zealand",
}
_BANKS: Final = {bank: re.compile(rf"\b(?:{names})\b") for bank, names in _BANK_NAMES.items()}
_FOREIGN_BANK: Final = re.compile(
    r"\b(?:pboc|people'?s bank|riksbank|norges|rbi|reserve bank of india|cbrt|banxico|sarb|bcb|bok|bank of (?:korea|"
    r"israel|thailand|mexico|russia)|copom|nbp|mnb|cnb)\b"
)
_TALK: Final = re.compile(
    r"\b(?:minutes|press conference|speaks?|speech|testi\w+|votes?|projections?|expectations?|probability|summary of "
    r"opinions|accounts|outlook|report|purchas\w+|balance sheet|beige book|blackout|survey|member|governor|gov|"
    r"president|chair\w*|hearing|bulletin|loan|mortgage|discount)\b"
)
_RATE: Final = re.compile(
    r"\b(?:(?:interest |policy |key )*rate decision|interest rate|policy rate|cash rate|bank rate|overnight rate|"
    r"overnight lending rate|(?:main )?refinancing (?:operations )?rate|refi rate|minimum bid rate|libor rate|"
    r"federal funds (?:target )?rate|fed funds (?:target )?rate|funds rate|target rate|monetary policy decision|"
    r"sight deposit (?:interest )?rate|policy balance rate|lending rate decision)\b"
)
_RATE_ASIDE: Final = re.compile(r"\b(?:deposit facility|marginal lending|lower bound|lower limit)\b")
_STATEMENT: Final = re.compile(
    r"\b(?:rate statement|(?:monetary )?policy (?:decision )?statement|policy assessment|policy summary|"
    r"monetary policy announcement|rate announcement)\b"
)
_FOMC: Final = re.compile(
    r"^(?:us |u\.s\. )?(?:fomc|federal open market committee|fed)(?: policy| monetary policy| rate)?"
    r"(?: statement| meeting| decision| announcement)s?\b"
)

_MONTH: Final = re.compile(r"\b(?:m/m|mom|month over month|month-over-month|monthly)\b|\bm-o-m\b")
_QUARTER: Final = re.compile(r"\b(?:q/q|qoq|quarter over quarter|quarterly|annualized|annualised)\b")
_YEAR: Final = re.compile(r"\b(?:y/y|yoy|year over year|year-over-year|yearly|annual)\b")
_ESTIMATE: Final = re.compile(
    r"\b(?:adv|advance|prelim|preliminary|flash|final|1st|2nd|3rd|first|second|third)\b(?:\s*(?:est|estimate|release|"
    r"gdp|gross|reading))?"
)

_CPI: Final = re.compile(r"\b(?:cpi|consumer price index|consumer prices|inflation rate)\b")
_CPI_ASIDE: Final = re.compile(
    r"\b(?:core|ex|excluding|less|trimmed|weighted|median|common|cleveland|tokyo|expectations?|forecast|nowcast\w*|"
    r"real|index points|ppi|producer|supercore|services|housing|used|seasonally|revision|harmoni[sz]ed|hicp|sticky)\b|"
    r"\bn\.?s\.?a\b|\bs\.a\b|\bindex,|\bcpi-?[wu]\b|cpi index|cpih"
)
_NFP: Final = re.compile(
    r"\b(?:non-?\s?farm (?:payrolls?|employment change|payroll employment)|nfp|total nonfarm payrolls?)\b"
)
_EMPLOYMENT: Final = re.compile(r"\bemployment situation\b")
_NFP_ASIDE: Final = re.compile(
    r"\b(?:adp|private|government|manufacturing|state|metropolitan|revisions?|benchmark|productivity|canada|canadian)\b"
)
_GDP: Final = re.compile(r"\b(?:gdp|gross domestic product)\b")
_GDP_ASIDE: Final = re.compile(
    r"\b(?:deflator|sales|gdpnow|nowcast|capital|external|debt|consumer|spending|niesr|tracker|capex|"
    r"chain price|ratio|per capita|expenditure|exports|to gdp|of gdp)\b|(?<!corporate )\b(?:price|prices)\b"
)
_GDP_BY: Final = re.compile(r"\bby (?:state|county|industry|metro\w*)\b")
_PCE: Final = re.compile(
    r"\b(?:pce (?:price index|deflator|price)|personal consumption expenditures? (?:\(pce\) )?price index|"
    r"personal consumption expenditures? - price index|personal income and outlays)\b"
)
_PCE_ASIDE: Final = re.compile(r"\b(?:adv|advance|prelim|preliminary|2nd|3rd|final|real)\b")
_CORE: Final = re.compile(r"\bcore\b")

_TICKER: Final = r"[A-Z][A-Z0-9]{0,4}(?:[.-][A-Z]{1,2})?"
_EARNINGS: Final = re.compile(
    rf"(?:^|.*\()(?P<share>{_TICKER})\)?(?: Inc\.?| Corp\.?)?(?: (?:Q[1-4]|[1-4]Q)(?: (?:FY)?\d{{2,4}})?)?"
    r" (?i:earnings)(?: (?i:report|release|call|date|results|announcement))?(?: \(?(?:Q[1-4]|[1-4]Q)(?: \d{4})?\)?)?$"
)
_NO_TICKER: Final = frozenset({"US", "UK", "EU", "JP", "AU", "CA", "REAL", "LABOR", "CASH"})


def declared(kind: str) -> Classified:
    """A kind that was said outright. Raises `Invalid` for one that does not exist."""
    word = kind.strip().lower().replace(" ", "_").replace("-", "_")
    if word not in EVENT_KINDS:
        raise Invalid(f"kind is {kind!r}", hint=f"one of {', '.join(EVENT_KINDS)}")
    return Classified(cast(EventKind, word), "FED" if word == "fomc" else "", DECLARED)


def classify(title: str, country: str = "", titles: Mapping[str, str] | None = None) -> Classified:
    """The kind of a title. `country` is its code, where the calendar says it; `titles` maps a title (case and blanks
    ignored) to the kind it shall have, before anything else is tried.
    """
    spelled = _plain(title)
    for said, kind in (titles or {}).items():
        if _plain(said) == spelled:
            return declared(kind)
    if match := _EARNINGS.fullmatch(" ".join(title.split())):
        share = match["share"].upper()
        return _OTHER if share in _NO_TICKER else Classified("earnings", share)
    for read in (_read_decision, _read_cpi, _read_nfp, _read_gdp, _read_pce):
        if (found := read(spelled, country)) is not None:
            return found
    return _OTHER


def _plain(title: str) -> str:
    return " ".join(title.lower().replace("–", "-").replace("’", "'").split())


def _read_decision(title: str, country: str) -> Classified | None:
    bank = next((one for one, named in _BANKS.items() if named.search(title)), "")
    if not bank and not _FOREIGN_BANK.search(title):
        bank = BANKS.get(country, "")
    if not bank or (_TALK.search(title) and not _STATEMENT.search(title)):
        return None
    kind: EventKind = "fomc" if bank == "FED" else "rate_decision"
    if bank == "RBA" and "monetary policy statement" in title:
        return None  # the quarterly paper of that name, days after the decision
    if bank == "FED" and _FOMC.search(title) and not _RATE.search(title):
        return Classified(kind, bank, 1)
    if _STATEMENT.search(title) and not _TALK.search(title):
        return Classified(kind, bank, 1)
    if _RATE.search(title) and not _TALK.search(title):
        return Classified(kind, bank, 2 if _RATE_ASIDE.search(title) else 0)
    if _RATE_ASIDE.search(title) and title.endswith("rate") and not _TALK.search(title):
        return Classified(kind, bank, 2)
    return None


def _read_cpi(title: str, _country: str) -> Classified | None:
    if not _CPI.search(title) or _CPI_ASIDE.search(title):
        return None
    return Classified("cpi", rank=0 if _MONTH.search(title) or _QUARTER.search(title) else 2 if _is_year(title) else 1)


def _read_nfp(title: str, country: str) -> Classified | None:
    if country not in ("", "US") or _NFP_ASIDE.search(title):
        return None
    if _NFP.search(title):
        return Classified("nfp")
    return Classified("nfp", rank=1) if _EMPLOYMENT.search(title) else None


def _read_gdp(title: str, _country: str) -> Classified | None:
    if not _GDP.search(title) or _GDP_ASIDE.search(title):
        return None
    estimate = _ESTIMATE.search(title) is not None
    if _GDP_BY.search(title) and not estimate:
        return None
    if _QUARTER.search(title) or (estimate and not _is_year(title) and not _MONTH.search(title)):
        return Classified("gdp")
    return Classified("gdp", rank=2 if _MONTH.search(title) else 3 if _is_year(title) else 1)


def _read_pce(title: str, country: str) -> Classified | None:
    if country not in ("", "US") or not _PCE.search(title) or _QUARTER.search(title) or _PCE_ASIDE.search(title):
        return None
    rank = 0 if _MONTH.search(title) else 2 if _is_year(title) else 1
    return Classified("pce", rank=rank + (3 if _CORE.search(title) else 0))


def _is_year(title: str) -> bool:
    return _YEAR.search(title) is not None
