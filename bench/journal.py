"""What does it cost to journal a run: microseconds a record for packing and hashing, beside the same as JSON?

One JSON document on stdout. A market maker's mixture: a delivery, a quote and its acceptance at every wake, and a fill
with its posting at every eighth. `limit` is BLAKE2b over the same bytes as often as the digests need them, and nothing
else; `caller` is the loop that calls, with writers that do nothing, and is in `digest` and `full`; `json` and `orjson`
write the same fields without hashing anything. CPU time in short turns, the shortest of many: others on the machine
lengthen the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import orjson

from gnomon.replay.bodies import Genesis
from gnomon.replay.digests import hasher
from gnomon.replay.journal import Journal, Mode
from gnomon.replay.record import Kept, Record

WAKES = 2_000
ASK_PER_RECORD_US = 1.0
WHY = (1, 1, 0, 1, 3, 1, 1, 2, 1, 0, 1, 1, 600_000, 10, 0, 12_345, 600_000, 62, 50, 0, 12, 12, 599_999, 600_001)
MOVED = ((1, 0, -6_000_000), (2, 0, 6_000_000), (2, 1, -10), (0, 1, 10), (0, 0, -3_000), (3, 0, 3_000))
QUOTED = ("request", "flags", "quote", "base", "bid", "ask", "bid_gone", "ask_gone", "bid_ahead", "ask_ahead")
GENESIS = Genesis(1, 1, bytes(32), bytes(32), "{}", ("venue", "trader"), ("BTCUSDT",), ("USDT", "BTC"))


class Nothing:
    """Writers that do nothing."""

    def deliver(self, *_: Any, **__: Any) -> int:
        return 0

    quote = quoted = fill = posting = end = deliver


def write(mode: Mode) -> Kept:
    kept = Kept()
    call(Journal(GENESIS, 0, mode=mode, sink=kept if mode == "full" else None))
    return kept


def call(journal: Any) -> None:
    deliver, quote, quoted, fill, posting = (
        journal.deliver, journal.quote, journal.quoted, journal.fill, journal.posting,
    )  # fmt: skip
    for i in range(WAKES):
        t = 1_700_000_000_000_000_000 + 1_000 * i
        told = deliver(80, t, i + 1, 1, ((2, i, i + 1),), cause_is_position=True)
        asked = quote(80, t, told, 1, i, t + 500, 0, 599_995, 600_005, 10, 1)
        fields = (i, 0, 0, 1, 2 * i + 1, 2 * i + 2, 2 * i, 2 * i, 50, 50)
        stands = quoted(60, t + 500, asked, 0, fields, 6_000_000, 10, 6_000_000, 10)
        if not i % 8:
            why = (*WHY, t, t + 500, 50_000, 0)
            posting(30, t + 700, fill(30, t + 700, stands, 0, why, 3_000, 0, 0), 0, MOVED)
    journal.end(2**62, 1)


def write_json(dump: Callable[[Any], object]) -> None:
    """The same fields under their names, one object a record, nothing hashed."""

    def line(**fields: Any) -> None:
        lines.append(dump(fields))

    lines: list[object] = []
    for i in range(WAKES):
        t, seq = 1_700_000_000_000_000_000 + 1_000 * i, 4 * i
        line(type="deliver", lane=80, t=t, seq=seq, cause=i + 1, source=1, wakes=1, first=t, own=[0, 0],
             spans=[[2, i, i + 1]])  # fmt: skip
        line(type="quote", lane=80, t=t, seq=seq + 1, cause=seq, source=1, number=i, arrival=t + 500, instrument=0,
             bid=599_995, ask=600_005, lots=10, keep=True, post_only=False)  # fmt: skip
        fields = dict(zip(QUOTED, (i, 0, 0, 1, 2 * i + 1, 2 * i + 2, 2 * i, 2 * i, 50, 50), strict=True))
        line(type="quoted", lane=60, t=t + 500, seq=seq + 2, cause=seq + 1, source=0, bid_lock=6_000_000, ask_lock=10,
             bid_released=6_000_000, ask_released=10, **fields)  # fmt: skip
        if not i % 8:
            named = {f"field_{j}": value for j, value in enumerate((*WHY, t, t + 500, 50_000, 0))}
            line(type="fill", lane=30, t=t + 700, seq=seq + 3, cause=seq + 2, source=0, fee=3_000, **named)
            line(type="posting", lane=30, t=t + 700, seq=seq + 4, cause=seq + 3, source=0, entries=MOVED)


def limit_of(kept: Kept) -> Callable[[], None]:
    """Hash the chain once, and once more what is an input or an output."""
    chain = b"".join(kept.blocks)
    again = b"".join(one.raw for one in Record(kept).entries() if one.header.flags & 3)

    def hash_twice() -> None:
        for data in (chain, again):
            state = hasher("chain")
            state.update(data)
            state.digest()

    return hash_twice


def timed(works: dict[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    """CPU seconds of each piece of work, in turns; the first turn warms up."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeat + 1):
        for name, work in works.items():
            begun = time.process_time()
            work()
            spent[name].append(time.process_time() - begun)
    return {name: runs[1:] for name, runs in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=99)
    repeat = parser.parse_args().repeat
    kept = write("full")
    records = Record(kept).check().records
    size = sum(map(len, kept.blocks))
    works: dict[str, Callable[[], Any]] = {
        "digest": lambda: write("digest"),
        "full": lambda: write("full"),
        "off": lambda: write("off"),
        "caller": lambda: call(Nothing()),
        "limit": limit_of(kept),
        "json": lambda: write_json(json.dumps),
        "orjson": lambda: write_json(orjson.dumps),
    }
    spent = timed(works, repeat)
    us = {name: min(runs) / records * 1e6 for name, runs in spent.items()}
    median = {name: statistics.median(runs) / records * 1e6 for name, runs in spent.items()}
    document = {
        "question": "What does it cost to journal a run, beside hashing alone and beside JSON?",
        "machine": {
            "cpu_count": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "load": round(os.getloadavg()[0], 1),
        },
        "versions": {"python": platform.python_version(), "orjson": orjson.__version__},
        "setting": {"records": records, "bytes_a_record": round(size / records, 1), "repeat": repeat},
        "us_a_record": {name: round(value, 3) for name, value in us.items()},
        "us_a_record_median": {name: round(value, 3) for name, value in median.items()},
        "blake2b_mb_per_s": round(2 * size / records / us["limit"], 1),
        "ratios": {
            "over the limit, digest": round(us["digest"] / us["limit"], 2),
            "json over digest": round(us["json"] / us["digest"], 2),
            "orjson over digest": round(us["orjson"] / us["digest"], 2),
            "full over digest": round(us["full"] / us["digest"], 2),
        },
        "packing_and_hashing_us": round(us["digest"] - us["caller"], 3),
        "holds": {"at most 1 us a record": us["digest"] - us["caller"] <= ASK_PER_RECORD_US},
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
