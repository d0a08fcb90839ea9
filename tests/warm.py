"""A `gnomon` for the path that needs no loading: each call is a copy of a process that has loaded the command.

`tests/docs/test_pages_run.py` shows that it says what the script says.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.processes import first_line, put_down

SERVER = Path(__file__).parent / "docs" / "warm_command.py"


@cache
def warm_folder() -> Path:
    """The folder it lies in. The process behind it ends with this one, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="gnomon-warm-"))
    door, stand_in = folder / "door", folder / "gnomon"
    stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{SERVER}" "{door}" "$@"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, SERVER, door], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(put_down, server)
    assert first_line(server) == b"ready"
    return folder
