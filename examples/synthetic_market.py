"""Write a seeded synthetic market as Parquet files, one an instrument: a place to try everything without any data.

python examples/synthetic_market.py FOLDER [--days 400] [--until 2026-01-01] [--timeframe 1h] [--seed 7]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gnomon.clock import Timeframe, parse_instant
from gnomon.market.candles import Candles
from gnomon.market.synth import synthetic_market
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.units import DAY_NS
from gnomon.wallclock import WallClock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--until", default="", help="the last bar closes by then; default: now")
    parser.add_argument("--timeframe", default="1h")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    until_ns = parse_instant(given.until) if given.until else WallClock().now_ns()
    instruments = [one for one in shipped_instruments() if one.forecast]
    candles = synthetic_market(
        instruments,
        {one.calendar: load_sessions(one.calendar) for one in instruments},
        Timeframe.parse(given.timeframe),
        until_ns - given.days * DAY_NS,
        until_ns,
        seed=given.seed,
    )
    for instrument, bars in zip(instruments, candles, strict=True):
        write(bars, given.folder / f"{instrument.symbol}-{given.timeframe}.parquet")
    print(f"{sum(map(len, candles)):,} bars of {len(candles)} instruments in {given.folder}")


def write(bars: Candles, path: Path) -> None:
    """One file: the bar's open time in UTC, prices and sizes as float64."""
    values = bars.ohlcva()
    columns = {"timestamp": pa.array(bars.open_ns, type=pa.timestamp("ns", tz="UTC"))}
    for index, name in enumerate(("open", "high", "low", "close", "volume")):
        columns[name] = pa.array(values[:, index])
    pq.write_table(pa.table(columns), path)


if __name__ == "__main__":
    main()
