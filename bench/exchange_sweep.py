"""What does a run of a sweep cost (W3) beside the peers: buy and hold from another bar in each of 1,000 runs?

100,000 seeded bars; the same with 100 decisions a run beside it, as a sweep that decides once says little. CPU seconds
a run, replay alone; `speed` is vectorbt's over the engine's. With 100 decisions everybody is given a tenth of the runs,
evenly spread over the thousand, and engines that need a good part of a second a run are given ten. The physical limit
of a run is what reading the opens of its decisions costs: nothing that a clock can see; so the limit given is the
column of closes read once a run, which an equity curve needs.
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

FIGURE = "cpu_s_per_run"
CLOSE_BYTES = 4
SLOW_PEERS = (peers.BACKTESTING, peers.NAUTILUS_1221, peers.BACKTRADER)
TARGET = peers.Target("sweep", "vectorbt", "sweep", 10.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 bars, 100 runs at most")
    quick = parser.parse_args().quick
    count, runs = (20_000, 100) if quick else (100_000, 1_000)
    bandwidth = limits.stream_gb_per_s()
    with tempfile.TemporaryDirectory(prefix="gnomon-bench-") as folder:
        given = seeded.save(seeded.bars(count), Path(folder) / "bars")
        results = [
            measured(given, count, runs, 1, bandwidth, quick=quick),
            measured(given, count, runs // 10, 100, bandwidth, quick=quick),
        ]
    document = {
        "question": "a run of a sweep beside the peers: CPU seconds, relative to vectorbt",
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "stream_gb_per_s": round(bandwidth, 1),
        },
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "bars": count,
        "results": results,
    }
    print(json.dumps(document, indent=2))


def measured(given: Path, count: int, runs: int, decisions: int, bandwidth: float, *, quick: bool) -> dict[str, Any]:
    """Everybody at one number of decisions a run."""
    some = 2 if quick else 10
    rows = [
        peers.ask(peers.VECTORBT, given, "sweep", "--decisions", decisions, "--runs", runs),
        *(peers.ask(one, given, "sweep", "--decisions", decisions, "--runs", some) for one in SLOW_PEERS),
        peers.ask(peers.GNOMON, given, "sweep", "--decisions", decisions, "--runs", runs),
        {
            "peer": "limit",
            "work": "closes read at memory's bandwidth",
            FIGURE: limits.read_seconds(count, CLOSE_BYTES, bandwidth),
        },
    ]
    peers.beside(rows, lambda row: row["peer"] == "vectorbt", FIGURE)
    return {"decisions_a_run": decisions, "runs": runs, "rows": rows, "targets": [TARGET.judged(rows, FIGURE)]}


if __name__ == "__main__":
    main()
