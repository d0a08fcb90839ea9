"""Peers of the exchange, from PyPI, each in a virtual environment of its own: they conflict with us and one another.

The environments (4 GB together) are made once, by the first run that reaches an index, and kept in
`$GNOMON_BENCH_PEERS`, by default a folder of the user's cache. A peer that cannot be installed or run is
`{"absent": why}`, and the bench goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1] / "peers"
NEWER_PYTHONS = ("3.12", "3.13")  # tried in turn where a peer has no wheel for the Python at hand
INSTALL_SECONDS, RUN_SECONDS = 900, 1800


@dataclass(frozen=True, slots=True)
class Peer:
    """A release of a package, and the script that runs it."""

    name: str
    requirement: str
    script: str

    @property
    def home(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        folder = Path(os.environ.get("GNOMON_BENCH_PEERS", cache / "gnomon" / "bench-peers"))
        return folder / self.requirement.replace("==", "-")


HFTBACKTEST = Peer("hftbacktest", "hftbacktest==2.4.4", "run_hftbacktest.py")
BACKTESTING = Peer("backtesting.py", "backtesting==0.6.6", "run_backtesting.py")
VECTORBT = Peer("vectorbt", "vectorbt==1.2.0", "run_vectorbt.py")
NAUTILUS_1221 = Peer("nautilus 1.221", "nautilus_trader==1.221.0", "run_nautilus.py")
NAUTILUS_1231 = Peer("nautilus 1.231", "nautilus_trader==1.231.0", "run_nautilus.py")
NAUTILUS_2 = Peer("nautilus 2", "nautilus_trader==2.0.0rc6", "run_nautilus2.py")
BACKTRADER = Peer("backtrader", "backtrader==1.9.78.123", "run_backtrader.py")


GNOMON = Peer("gnomon", "", "run_gnomon.py")  # in the environment that runs the bench


class Absent(Exception):
    """A peer that this machine cannot have; says why."""


def ask(peer: Peer, folder: Path, work: str, *options: object) -> dict[str, Any]:
    """What a peer says of a piece of work on the input in `folder`, installing it where that has not been done."""
    said = {"peer": peer.name, "work": work}
    try:
        python = environment(peer) if peer.requirement else sys.executable
        command = [str(python), str(SCRIPTS / peer.script), str(folder), work, *map(str, options)]
        print(f"  {peer.name} {work} {' '.join(map(str, options))}", file=sys.stderr, flush=True)
        lines = _output(command, RUN_SECONDS, own=not peer.requirement).strip().splitlines()
        if not lines:
            raise Absent(f"{peer.script} ended without an answer")
        return {**said, **json.loads(lines[-1])}
    except Absent as why:
        return {**said, "absent": str(why)}


def environment(peer: Peer) -> Path:
    """The Python of the peer's environment. Raises `Absent`; what failed today is not tried again in this process."""
    python = peer.home / "bin" / "python"
    if not (peer.home / "ready").exists():
        if peer.requirement in _FAILED:
            raise Absent(_FAILED[peer.requirement])
        try:
            _install(peer, python)
        except Absent as why:
            shutil.rmtree(peer.home, ignore_errors=True)
            _FAILED[peer.requirement] = str(why)
            raise
    return python


_FAILED: dict[str, str] = {}


def _install(peer: Peer, python: Path) -> None:
    print(f"  installing {peer.requirement} into {peer.home}", file=sys.stderr, flush=True)
    why = ""
    for interpreter in _interpreters():
        shutil.rmtree(peer.home, ignore_errors=True)
        try:
            _output([interpreter, "-m", "venv", str(peer.home)], INSTALL_SECONDS)
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1"]
            _output([*pip, "--only-binary", ":all:", peer.requirement, "numpy"], INSTALL_SECONDS)
        except Absent as one:
            why = why or str(one)
            if "(from versions: none)" in why:  # no index knows it, or none is reached: another Python changes nothing
                break
        else:
            (peer.home / "ready").touch()
            return
    raise Absent(why)


def _interpreters() -> list[str]:
    """Ours first, then newer ones of the path or of pyenv that answer."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = [sys.executable]
    for release in NEWER_PYTHONS:
        kept = sorted(map(str, (Path.home() / ".pyenv" / "versions").glob(f"{release}.*/bin/python3")))
        named = [path for path in (shutil.which(f"python{release}"), *kept) if path and release > own]
        found += [path for path in named if _answers(path)][:1]
    return found


def _answers(python: str) -> bool:
    return subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0


def _output(command: list[str], seconds: int, *, own: bool = False) -> str:
    """Of a process that ends well; `Absent` with its last words otherwise. Only our own inherits where modules lie."""
    hidden = () if own else ("PYTHONPATH", "PYTHONHOME")
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds, env=environ, stdin=subprocess.DEVNULL
        )
    except subprocess.CalledProcessError as failed:
        words = (failed.stderr or failed.stdout).strip().splitlines() or [f"exit {failed.returncode}"]
        of_pip = next((one for one in words if one.startswith("ERROR: ")), "")
        raise Absent((of_pip or next((one for one in reversed(words) if "rror" in one), words[-1]))[:300]) from failed
    except subprocess.TimeoutExpired as late:
        raise Absent(f"no answer within {seconds} s") from late
    except OSError as refused:
        raise Absent(str(refused)) from refused
    return done.stdout


@dataclass(frozen=True, slots=True)
class Target:
    """How many times as fast as a peer one of our works has to be."""

    ours: str
    peer: str
    work: str
    least: float

    def judged(self, rows: list[dict[str, Any]], figure: str) -> dict[str, Any]:
        """The ratio in these rows, and whether it is reached; both None where either side is absent."""
        mine, theirs = (
            next((row[figure] for row in rows if (row["peer"], row["work"]) == who and row.get(figure)), None)
            for who in (("gnomon", self.ours), (self.peer, self.work))
        )
        ratio = theirs / mine if mine and theirs else None
        return {
            "gnomon": self.ours,
            "beside": f"{self.peer} {self.work}",
            "at_least": self.least,
            "ratio": ratio and float(f"{ratio:.3g}"),
            "reached": ratio and ratio >= self.least,
        }


def beside(rows: list[dict[str, Any]], yardstick: Callable[[dict[str, Any]], bool], figure: str) -> None:
    """Adds `speed` to every row that has the figure (CPU seconds of a unit of work): the yardstick's over its own."""
    unit = next((row[figure] for row in rows if yardstick(row) and row.get(figure)), None)
    for row in rows:
        if unit and row.get(figure):
            row["speed"] = float(f"{unit / row[figure]:.3g}")
