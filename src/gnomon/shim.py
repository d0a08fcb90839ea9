"""`import gnomon.shim`: this process is a lock-step bot from here on, whatever it is written with.

    GNOMON_VENUE_URL=http://localhost:3001 GNOMON_API_KEY=… python -m gnomon.shim bot.py args…

Asking for the next message says that the last one is dealt with; `time`, `sleep`, dates and timers of asyncio run on
the session's virtual clock. Nothing but the standard library is loaded.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from gnomon.lockstep.begin import begin


def main(words: list[str]) -> None:
    """Run a script, or with `-m` a module, as `python` would."""
    if not words or (words[0] == "-m" and len(words) < 2):
        raise SystemExit("usage: python -m gnomon.shim bot.py args…, or python -m gnomon.shim -m module args…")
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, "")
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")


begin()
if __name__ == "__main__":
    main(sys.argv[1:])
