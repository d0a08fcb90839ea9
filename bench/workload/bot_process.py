"""`gnomon pulse run` with a stopwatch: how long the bot was in lock-step, from its first word to its last, and the CPU
that it took meanwhile, into the file that is the first argument. The rest is that of `gnomon`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from gnomon.cli.main import main
from gnomon.trader.pulse.barrier import Barrier

_run = Barrier.run


def _timed(self: Barrier) -> None:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    try:
        _run(self)
    finally:
        said = {"seconds": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
        _PATH.write_text(json.dumps(said))


if __name__ == "__main__":
    _PATH = Path(sys.argv.pop(1))
    Barrier.run = _timed  # type: ignore[method-assign]  # the stopwatch
    main()
