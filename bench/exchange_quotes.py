"""How fast is quoting on prints (W2) beside hftbacktest and nautilus, on the same seeded prints in the same run?

A pair of orders is replaced every 100 or 1,000 prints. CPU seconds of the replay alone, each engine in its own process;
`speed` is the CPU time a print of compiled hftbacktest, woken per trade, over the engine's. Throughput without the
number of prints a decision means nothing, so every row has it. hftbacktest's fills are checked against the
specification's rows A-F, to the last digit. Of ours, `quotes` is a Python hook a decision, `arrays` are quotes computed
as arrays for the compiled runner, `walked` the same without numba. Physical limits: the touched columns (9 bytes a
print: time is not read) over measured bandwidth; a Python call a print; jumps in plain NumPy without orders.
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

ROWS = {
    # of the table of the specification, over a million prints: every, latency, then what must come out
    "A": (100, 0, 10_171, "405f230914157a80"),
    "B": (1_000, 0, 1_663, "8af94f07f471a756"),
    "C": (10_000, 0, 189, "b56124fcf63b3c92"),
    "D": (100, 120_000_000, 10_253, "dafd7b77624b0f99"),
    "E": (1_000, 120_000_000, 1_664, "2e575bfc49f9aeca"),
    "F": (100, 1_020_000_000, 10_710, "4dfebaae57426be0"),
}
TOUCHED_BYTES = 4 + 4 + 1  # price, lots and side of a tape's row
FIGURE = "ns_per_print"
NAUTILUS = (peers.NAUTILUS_2, peers.NAUTILUS_1231, peers.NAUTILUS_1221)
COMPILED, PYTHON = ("hftbacktest", "compiled"), ("hftbacktest", "python")
CALLBACK = (peers.Target("trades", *PYTHON, 2.0), peers.Target("trades", "nautilus 2", "quotes", 5.0))
TARGETS = {
    # prints a decision: how many times as fast
    100: (
        peers.Target("quotes", *COMPILED, 0.5),
        peers.Target("walked", *COMPILED, 0.5),
        peers.Target("arrays", *COMPILED, 1.0),
        *CALLBACK,
    ),
    1_000: (
        peers.Target("quotes", *COMPILED, 2.0),
        peers.Target("walked", *COMPILED, 2.0),
        peers.Target("arrays", *COMPILED, 2.0),
        *CALLBACK,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 prints, one repetition, no rows A-F")
    quick = parser.parse_args().quick
    count, repeat = (100_000, 1) if quick else (1_000_000, 5)
    market = seeded.prints(count)
    bandwidth = limits.stream_gb_per_s()
    with tempfile.TemporaryDirectory(prefix="gnomon-bench-") as folder:
        given = seeded.save(market, Path(folder) / "prints")
        results = [measured(market, given, every, repeat, bandwidth) for every in (100, 1_000)]
        rows = {} if quick else {name: acceptance(given, *row) for name, row in ROWS.items()}
    document = {
        "question": "quoting on prints beside the peers: CPU time a print, relative to compiled hftbacktest",
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "stream_gb_per_s": round(bandwidth, 1),
        },
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "prints": count,
        "results": results,
        "acceptance": rows,
    }
    print(json.dumps(document, indent=2))


def measured(market: seeded.Prints, given: Path, every: int, repeat: int, bandwidth: float) -> dict[str, Any]:
    """Everybody at one number of prints a decision."""
    asked = ("--every", every, "--repeat", repeat)
    slow = ("--every", every, "--rows", len(market) // 10)  # microseconds a print: a part says as much
    rows = [
        peers.ask(peers.HFTBACKTEST, given, "compiled", *asked),
        peers.ask(peers.HFTBACKTEST, given, "python", *slow),
        peers.ask(peers.HFTBACKTEST, given, "python_elapse", *asked),
        *(peers.ask(one, given, "quotes", *slow) for one in NAUTILUS),
        peers.ask(peers.GNOMON, given, "quotes", *asked),
        peers.ask(peers.GNOMON, given, "arrays", *asked),
        peers.ask(peers.GNOMON, given, "walked", *asked),
        peers.ask(peers.GNOMON, given, "trades", *asked),
        *floors(market, every, repeat, bandwidth),
    ]
    for row in rows:
        if "cpu_s" in row:
            row[FIGURE] = round(1e9 * row["cpu_s"] / row["prints"], 3)
    peers.beside(rows, lambda row: (row["peer"], row["work"]) == ("hftbacktest", "compiled"), FIGURE)
    targets = [one.judged(rows, FIGURE) for one in TARGETS[every]]
    return {"prints_a_decision": every, "rows": rows, "targets": targets}


def floors(market: seeded.Prints, every: int, repeat: int, bandwidth: float) -> list[dict[str, Any]]:
    count = len(market)
    found = {
        "columns read at memory's bandwidth": limits.read_seconds(count, TOUCHED_BYTES, bandwidth),
        "a Python call a print": limits.seconds(lambda: limits.call_per_print(market, every), repeat),
        "jumps in plain NumPy, no orders": limits.seconds(lambda: limits.jump(market, every), repeat),
    }
    return [{"peer": "limit", "work": name, "cpu_s": taken, "prints": count} for name, taken in found.items()]


def acceptance(given: Path, every: int, latency_ns: int, fills: int, digest: str) -> dict[str, Any]:
    """Whether hftbacktest's own fills, and ours by hand and by arrays, are those of the specification."""
    asked = ("--every", every, "--latency-ns", latency_ns)
    said = [
        peers.ask(peers.HFTBACKTEST, given, "compiled", *asked),
        peers.ask(peers.GNOMON, given, "quotes", *asked),
        peers.ask(peers.GNOMON, given, "arrays", *asked),
        peers.ask(peers.GNOMON, given, "walked", *asked),
    ]
    found = {}
    for one in said:
        is_equal = "absent" not in one and (one["fills"], one["digest"]) == (fills, digest)
        found[f"{one['peer']} {one['work']}"] = one.get("absent") or ("equal" if is_equal else one)
    return found


if __name__ == "__main__":
    main()
