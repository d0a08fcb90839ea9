"""What a file's name says: symbol, timeframe, and whether it is a series of its own kind.

BTC_USDT-1h.json.gz                   freqtrade: BTCUSDT, 1h
XRP_USDT_USDT-8h-mark.feather         freqtrade: the perpetual XRPUSDT-PERP, its mark price
BTCUSDT-1h-2024-01.zip                a Binance dump
XSHG_5min_600977.csv                  exchange code, timeframe, symbol
btc-perp-20211231-20220201_1m.csv.gz  anything else: what is left without dates, timeframes and usual words
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gnomon.sources.files.table import Name

_SUFFIXES: Final = re.compile(r"(?i)(\.(json|jsonl|csv|txt|tsv|parquet|pq|feather|arrow|ipc|data|gz|zip))+$")
_FREQTRADE: Final = re.compile(
    r"([A-Za-z0-9]+)_([A-Za-z0-9]+)(?:_([A-Za-z0-9]+))?-(?:(\d+(?:mo|[smhdwM]))|trades)"
    r"(?:-(futures|mark|index|premiumIndex|funding_rate))?(?:_\d{8}_\d{8})?"
)
_BINANCE: Final = re.compile(r"([A-Z0-9_]+)-(?:(\d+(?:mo|[smhdw]))|aggTrades|trades)-\d{4}-\d{2}(?:-\d{2})?")
_EXCHANGE: Final = re.compile(r"(X[A-Z]{3})_(\d+[A-Za-z]+)_([A-Za-z0-9.]+)")
_DATE: Final = re.compile(r"(?<![0-9])(?:19|20)\d{2}(?:[-_]?[01]\d(?:[-_]?[0-3]\d)?)?(?![0-9])")
_TIMEFRAME: Final = re.compile(r"\d{1,4}(?:s|sec|m|min|h|hour|d|day|w|week|mo|month|M|H|D|W)")
_WORDS: Final = {"daily": "1d", "hourly": "1h", "weekly": "1w", "monthly": "1mo", "minute": "1m"}
_USUAL_WORDS: Final = (
    "ohlc ohlcv candle candles kline klines bar bars trade trades aggtrades tick ticks data price prices all spot "
    "history historical raw merged input output sample test export download file"
)
_USUAL: Final = frozenset(_USUAL_WORDS.split())
_QUOTES: Final = frozenset(
    ("USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI", "USD", "EUR", "GBP", "JPY", "BTC", "ETH", "BNB")
)
_MOST_TOKENS: Final = 3


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of a file name; `series` is freqtrade's candle type ("" for ordinary candles)."""

    name: Name
    series: str = ""


def read_name(file_name: str) -> FileName:
    """What the name of a file says; an empty `Name` where it says nothing."""
    bare = stem(file_name)
    if match := _FREQTRADE.fullmatch(bare):
        return _freqtrade(match)
    if match := _BINANCE.fullmatch(bare):
        return FileName(Name((match[1].upper(),), timeframe=match[2] or ""))
    if match := _EXCHANGE.fullmatch(bare):
        return FileName(Name((match[3].upper(),), venue=match[1], timeframe=match[2]))
    return FileName(_loose(bare))


def stem(file_name: str) -> str:
    """A file name without the endings that say how it is written."""
    return _SUFFIXES.sub("", file_name)


def symbol_name(text: str) -> str:
    """A symbol as it may stand in an identity and in an address: upper case, no separators but `.`, `_` and `-`."""
    return re.sub(r"[^A-Z0-9._-]+", "-", text.strip().upper()).strip("-")[:32]


def _freqtrade(match: re.Match[str]) -> FileName:
    base, quote, settled, timeframe, series = (part or "" for part in match.groups())
    base, quote = base.upper(), quote.upper()
    if not settled and series in ("", "futures"):
        symbols = (f"{base}{quote}", f"{base}_{quote}", f"{base}/{quote}", f"{base}-{quote}")
        return FileName(Name(symbols, timeframe=timeframe, asset_class="crypto"), series)
    kind = "MARK" if series == "mark" else "PERP"
    return FileName(Name((f"{base}{quote}-{kind}",), "", timeframe, "crypto", forecast=series != "mark"), series)


def _loose(bare: str) -> Name:
    tokens, timeframe = [], ""
    for token in re.findall(r"[A-Za-z0-9.]+", _DATE.sub(" ", bare)):
        if _TIMEFRAME.fullmatch(token):
            timeframe = timeframe or token
        elif token.lower() in _WORDS:
            timeframe = timeframe or _WORDS[token.lower()]
        elif token.lower() not in _USUAL:
            tokens.append(token.upper().strip("."))
    if not tokens or len(tokens) > _MOST_TOKENS:
        return Name((), timeframe=timeframe)
    joined = ("".join(tokens), "_".join(tokens), "/".join(tokens), "-".join(tokens))
    pair = len(tokens) == 1 or (len(tokens) == 2 and tokens[1] in _QUOTES)
    first = "".join(tokens) if pair else "-".join(tokens)
    return Name((symbol_name(first), *joined), timeframe=timeframe)
