"""How fast are two moving averages on bars (W1), a Python callback a bar and full accounts, beside the peers?

The same seeded bars in the same run, each engine in its own process; CPU seconds of the replay alone. `speed` is the
CPU time a bar of backtesting.py over the engine's. vectorbt makes no Python call a bar: its signals are arrays. Fills
of peers differ by warm-up, ties and rules; those of the specification are 38,894 over a million bars. Physical limits:
open, high, low and close read at memory's bandwidth; a Python call a bar that keeps two sums and no account.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from workload import limits, peers, seeded

FILLS, DIGEST = 38_894, "64366d0ee99ae4d6"  # of the specification, over a million bars
TOUCHED_BYTES = 4 * 4
FIGURE = "ns_per_bar"
SLOW_PEERS = (peers.NAUTILUS_2, peers.NAUTILUS_1231, peers.NAUTILUS_1221, peers.BACKTRADER)
TARGETS = (
    peers.Target("averages", "backtesting.py", "averages", 5.0),
    peers.Target("averages", "nautilus 1.221", "averages", 20.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="50,000 bars, one repetition")
    quick = parser.parse_args().quick
    count, repeat = (50_000, 1) if quick else (1_000_000, 3)
    market = seeded.bars(count)
    bandwidth = limits.stream_gb_per_s()
    with tempfile.TemporaryDirectory(prefix="gnomon-bench-") as folder:
        rows = measured(market, seeded.save(market, Path(folder) / "bars"), repeat, bandwidth)
    document = {
        "question": "two averages on bars beside the peers: CPU time a bar, relative to backtesting.py",
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "stream_gb_per_s": round(bandwidth, 1),
        },
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "bars": count,
        "rows": rows,
        "targets": [one.judged(rows, FIGURE) for one in TARGETS],
    }
    print(json.dumps(document, indent=2))


def measured(market: seeded.Bars, given: Path, repeat: int, bandwidth: float) -> list[dict[str, Any]]:
    count = len(market)
    slow = ("--rows", count // 10)  # tens of microseconds and more a bar: a part says as much
    rows = [
        peers.ask(peers.BACKTESTING, given, "averages"),
        peers.ask(peers.VECTORBT, given, "averages", "--repeat", repeat),
        *(peers.ask(one, given, "averages", *slow) for one in SLOW_PEERS),
        peers.ask(peers.GNOMON, given, "averages", "--repeat", repeat),
    ]
    found = {
        "columns read at memory's bandwidth": limits.read_seconds(count, TOUCHED_BYTES, bandwidth),
        "a Python call a bar": limits.seconds(lambda: limits.call_per_bar(market), repeat),
    }
    rows += [{"peer": "limit", "work": name, "cpu_s": taken, "bars": count} for name, taken in found.items()]
    for row in rows:
        if "cpu_s" in row:
            row[FIGURE] = round(1e9 * row["cpu_s"] / row["bars"], 3)
        if row.get("bars") == 1_000_000 and "digest" in row:
            row["fills_as_specified"] = (row["fills"], row["digest"]) == (FILLS, DIGEST)
    peers.beside(rows, lambda row: row["peer"] == "backtesting.py", FIGURE)
    return rows


if __name__ == "__main__":
    main()
