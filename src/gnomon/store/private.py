"""Texts that are made once, at random, and that their owner alone may read: keys and tokens in files of the home."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def private_text(path: Path) -> str:
    """The text of a file with mode 600; made with 256 bits of chance where there is none. Several may ask at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        try:
            os.link(fresh, path)  # whole, and once: who comes second reads the first one's
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="utf-8").strip()
