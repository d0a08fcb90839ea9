"""Whose event it is: countries and currencies by one code, and the central banks that decide on rates.

Subjects are ISO 3166 country codes in capitals, with EA for the euro area.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = {
    "US": "usd | united states | united states of america | usa | u.s. | u.s.a.",
    "EA": "eur | euro area | eurozone | euro zone | european union | emu | european monetary union | eu | emu/ea | ez",
    "GB": "gbp | united kingdom | uk | great britain | britain | u.k.",
    "JP": "jpy | japan | jpn",
    "AU": "aud | australia | aus",
    "CA": "cad | canada | can",
    "CH": "chf | switzerland | che",
    "NZ": "nzd | new zealand | nzl",
    "CN": "cny | china | chn",
    "DE": "germany | deu | ger",
    "FR": "france | fra",
    "IT": "italy | ita",
    "ES": "spain | esp",
    "SE": "sek | sweden | swe",
    "NO": "nok | norway | nor",
    "IN": "inr | india | ind",
    "BR": "brl | brazil | bra",
    "MX": "mxn | mexico | mex",
    "KR": "krw | south korea | korea | kor",
    "ZA": "zar | south africa | zaf",
    "TR": "try | turkey | turkiye | tur",
}
_CODES: Final = {name.strip(): code for code, names in _NAMES.items() for name in names.split("|")}
_CODE: Final = re.compile(r"[A-Z]{2}")

BANKS: Final = {
    "US": "FED",
    "EA": "ECB",
    "GB": "BOE",
    "JP": "BOJ",
    "AU": "RBA",
    "CA": "BOC",
    "CH": "SNB",
    "NZ": "RBNZ",
}
"""The central bank of a country code."""


def country_code(text: str) -> str:
    """The code of a country or currency by name or code, case ignored: `US` of `USD` or `United States`.

    An unknown name is kept in capitals, so that nothing is taken for something else; "" stays "".
    """
    spelled = " ".join(text.split()).lower()
    code = spelled.upper()
    if spelled in _CODES:
        return _CODES[spelled]
    return code if _CODE.fullmatch(code) else code.replace(" ", "-")
