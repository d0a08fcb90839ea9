"""What does a run cost as it grows: in prints, decisions, resting orders, instruments, with a queue, with a journal?

Every point is a process of its own: CPU seconds of the run alone, the fastest of some, and the peak of its memory,
input and libraries included. A curve varies one thing; `times` is a point's CPU time over that of the curve's first
point. Throughput without the number of prints a decision means nothing, so every point has it. `share_of_bandwidth` of
the sparse runs is the share of memory's measured bandwidth at which the columns that they concern (9 bytes a print) are
gone through. The `naive` runner looks at every print, on a part of them: `speed` is its CPU time a print over the
point's.

Start-up: a fresh process that imports, and runs 10,000 prints once, its CPU and wall seconds as the system counts them,
without numba (a hook, an array policy) and by the compiled runner with a warm cache, beside a process that imports
NumPy and ends. numba is loaded by whoever asks for it, and for 100,000 quotes and more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workload import limits, peers, seeded

CURVE = peers.Peer("gnomon", "", "run_curve.py")  # in the environment that runs the bench
TOUCHED_BYTES = 4 + 4 + 1  # price, lots and side of a tape's row
SPARSE = 10  # decisions of a sparse run
START_PRINTS = 10_000
WITHOUT_NUMBA_S, WARM_NUMBA_S = 0.3, 0.5
STARTS = (
    # what is run, by which runner, and the seconds that it may take
    ("without numba", "quotes", "jump", WITHOUT_NUMBA_S),
    ("an array policy", "arrays", "jump", WARM_NUMBA_S),
    ("the compiled runner, its cache warm", "arrays", "kernel", WARM_NUMBA_S),
)


class Bench:
    """The size of the bench, and its inputs, each made when it is first asked for."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.sizes = (10_000, 100_000) if quick else (100_000, 1_000_000, 10_000_000)
        self.usual = self.sizes[1]
        self.decisions = 100 if quick else 1_000
        self.repeat = 2 if quick else 3
        self.naive_part = 10
        self.bandwidth = limits.stream_gb_per_s()

    def given(self, count: int) -> Path:
        folder = self.folder / f"prints-{count}"
        return folder if folder.exists() else seeded.save(seeded.prints(count), folder)

    def point(self, count: int, work: str, decisions: int, *options: object, repeat: int = 0) -> dict[str, Any]:
        """What one run cost. The words of the options are in the answer, so that a point says what it is."""
        every = count // decisions
        asked = ("--every", every, "--repeat", repeat or self.repeat, *options)
        row = peers.ask(CURVE, self.given(count), work, *asked)
        names = [str(one).removeprefix("--") for one in options[::2]]
        row |= dict(zip(names, options[1::2], strict=True))
        if "cpu_s" in row:
            row["us_per_decision"] = significant(1e6 * row["cpu_s"] / row["decisions"])
            row["ns_per_print"] = significant(1e9 * row["cpu_s"] / row["prints"])
        return row

    def curves(self) -> dict[str, list[dict[str, Any]]]:
        """Every curve by what it varies."""
        count, decisions = self.usual, self.decisions
        many = [decisions, 10 * decisions, count // 10]
        return {
            "prints": beside_first([self.point(size, "quotes", decisions) for size in self.sizes]),
            "decisions": beside_first([self.point(count, "quotes", one) for one in many]),
            "open orders": self._varied("orders", "--orders", (1, 5, 20, 50)),
            "open orders in a queue": self._varied("orders", "--orders", (1, 5, 20, 50), "--resting", "queue"),
            "instruments": self._varied("quotes", "--instruments", (1, 2, 4, 8)),
            "queue": self._varied("quotes", "--resting", ("touch", "queue")),
            "journal": self._varied("quotes", "--journal", ("off", "digest", "full")),
        }

    def _varied(self, work: str, option: str, values: Sequence[object], *fixed: object) -> list[dict[str, Any]]:
        points = [self.point(self.usual, work, self.decisions, option, value, *fixed) for value in values]
        return beside_first(points)

    def sparse(self) -> list[dict[str, Any]]:
        """Ten decisions a run: how near to reading the columns once."""
        works = [("quotes", "jump"), ("quotes", "kernel"), ("arrays", "jump")]
        points = [self.point(size, work, SPARSE, "--runner", name) for size in self.sizes for work, name in works]
        for one in points:
            if "cpu_s" in one:
                floor_s = limits.read_seconds(one["prints"], TOUCHED_BYTES, self.bandwidth)
                one["share_of_bandwidth"] = significant(floor_s / one["cpu_s"])
        return points

    def naive(self) -> list[dict[str, Any]]:
        """All runners at the same prints a decision; the naive one on the first part of the prints."""
        count, part = self.usual, self.usual // self.naive_part
        every = count // self.decisions
        points = [
            self.point(part, "quotes", part // every, "--runner", "naive", repeat=1),
            self.point(count, "quotes", self.decisions, "--runner", "jump"),
            self.point(count, "quotes", self.decisions, "--runner", "kernel"),
            self.point(count, "arrays", self.decisions, "--runner", "jump"),
        ]
        peers.beside(points, lambda row: row.get("runner") == "naive", "ns_per_print")
        return points


def beside_first(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds `times` to every point: its CPU seconds over the first one's."""
    first = points[0].get("cpu_s")
    for one in points:
        if first and one.get("cpu_s"):
            one["times"] = significant(one["cpu_s"] / first)
    return points


def significant(value: float) -> float:
    return float(f"{value:.3g}")


# --- start-up ---------------------------------------------------------------------------------------------------------


def start_up(given: Path, repeat: int) -> dict[str, Any]:
    """Fresh processes, by what they do. The first of each is not counted: it fills the caches of Python and numba."""
    bare = spent([sys.executable, "-c", "import numpy"], repeat)
    found: dict[str, Any] = {"python -c 'import numpy'": bare, "prints": START_PRINTS, "prints_a_decision": 100}
    for name, work, runner, least_s in STARTS:
        command = [sys.executable, str(peers.SCRIPTS / CURVE.script), str(given), "first"]
        row = spent([*command, "--every", "100", "--policy", work, "--runner", runner], repeat)
        row |= {"over_numpy": significant(row["cpu_s"] / bare["cpu_s"]), "at_most_s": least_s}
        found[name] = row | {"reached": row["cpu_s"] <= least_s}
    return found


def spent(command: list[str], repeat: int) -> dict[str, Any]:
    """The least CPU and wall seconds of a process, start and end included, and what it said last."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    cpu, wall, said = [], [], ""
    for _ in range(repeat + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
        wall.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    words = json.loads(said.splitlines()[-1]) if said.strip() else {}
    return {"cpu_s": round(min(cpu[1:]), 3), "wall_s": round(min(wall[1:]), 3), **words}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 prints at most, two repetitions")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="gnomon-bench-") as folder:
        bench = Bench(Path(folder), quick=quick)
        document = {
            "question": "what does a run cost as it grows? CPU seconds, relative to a curve's first point",
            "machine": {
                "platform": platform.platform(),
                "cpus": os.cpu_count(),
                "load": round(os.getloadavg()[0], 1),
                "stream_gb_per_s": round(bench.bandwidth, 1),
            },
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "start_up": start_up(bench.given(START_PRINTS), 2 if quick else 9),
            "curves": bench.curves(),
            "sparse": bench.sparse(),
            "runners": bench.naive(),
        }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
