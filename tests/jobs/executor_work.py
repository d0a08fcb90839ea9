"""What the tests of executors have done elsewhere: functions that another process can import."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from gnomon.errors import NotFound


def draw(item: dict[str, int]) -> list[float]:
    """Figures that depend on the seed which travels with the item, and on nothing else."""
    luck = np.random.Generator(np.random.Philox(item["seed"]))
    rows = luck.normal(size=(item["size"], item["size"]))
    return [float(one) for one in np.round(rows @ rows.T, 6).ravel()[:5]]


def digest(item: bytes) -> str:
    return hashlib.blake2b(item, digest_size=8).hexdigest()


def behave(item: Any) -> Any:
    """As it is told: answer, raise, die, sleep, answer what cannot be sent."""
    match item:
        case "raise":
            raise NotFound("no such thing", hint="look elsewhere")
        case "bug":
            return 1 / 0
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit(3)
        case "sleep":
            time.sleep(600)
        case "lock":
            return threading.Lock()
    return item


def die_once(path: str) -> str:
    """Dies at the first try and not at the second."""
    if not Path(path).exists():
        Path(path).touch()
        os._exit(1)
    return "second"


def surroundings(name: str) -> str:
    if name == "pid":
        return str(os.getpid())
    if name == "loaded":
        return ",".join(sorted(sys.modules))
    return os.environ.get(name, "")


def leave(path: str) -> str:
    """Leave a file at the start, work for as long as the parent lives, leave another file at the end."""
    parent = os.getppid()
    Path(f"{path}.begun").touch()
    while os.getppid() == parent:
        time.sleep(0.05)
    Path(path).touch()
    return path
