"""Virtual environments of real clients: one each (two of them install the same top-level package), made once and kept.

They lie in `GNOMON_TEST_ENVS` (default `~/.cache/gnomon-test-envs`), each in a folder named after its client and a hash
of its pinned requirements and of the Python that runs the tests: another pin is another folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

REQUIREMENTS = Path(__file__).parent / "requirements"
LARGE = ("freqtrade",)  # half a gigabyte: made only where GNOMON_TEST_LARGE_CLIENTS is set, used wherever it is there
INSTALL_S, INSTALL_LARGE_S = 600.0, 1800.0
COMPILE = ("--no-compile-bytecode", "--compile-bytecode")  # ccxt has hundreds of modules that nobody imports
COMPILE_PIP = ("--no-compile", "--compile")
_refused: dict[str, str] = {}  # clients that could not be installed here, and what was said then
UNREACHABLE = (
    *("connection", "timed out", "timeout", "name resolution", "name or service not known", "dns error"),
    *("error sending request", "network is unreachable", "could not fetch url", "proxyerror", "sslerror"),
)


def client_python(client: str) -> Path:
    """The Python of a client's environment, made if it is not there. Skips the test, saying why, where it cannot be."""
    folder = root() / f"{client}-{fingerprint(client)}"
    ready = folder / ".ready"
    if not ready.exists():
        if client in LARGE and not os.environ.get("GNOMON_TEST_LARGE_CLIENTS"):
            pytest.skip(f"{client} takes half a gigabyte: set GNOMON_TEST_LARGE_CLIENTS=1 to install it into {folder}")
        if client in _refused:
            refuse(client, _refused[client])
        seconds = INSTALL_LARGE_S if client in LARGE else INSTALL_S
        with held(folder, 2 * seconds):
            if not ready.exists():
                make(client, folder, seconds)
                ready.touch()
    return folder / "bin" / "python"


def root() -> Path:
    return Path(os.environ.get("GNOMON_TEST_ENVS") or Path.home() / ".cache" / "gnomon-test-envs")


def fingerprint(client: str) -> str:
    text = f"{sys.version_info[:2]} {sys.platform} {(REQUIREMENTS / f'{client}.txt').read_text()}"
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@contextmanager
def held(folder: Path, seconds: float) -> Iterator[None]:
    """Alone among all test processes of this machine: a holder that dies lets go. Fails where another holds it for so
    many seconds, and says which."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + seconds
    with folder.with_suffix(".lock").open("a+") as lock:
        while not _taken(lock):
            lock.seek(0)
            holder = lock.read() or "another"
            assert time.monotonic() < until, f"process {holder} holds {lock.name} for longer than {seconds:.0f} s"
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make(client: str, folder: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    shutil.rmtree(folder, ignore_errors=True)
    python, wanted = str(folder / "bin" / "python"), str(REQUIREMENTS / f"{client}.txt")
    uv = shutil.which("uv")
    if uv:
        steps = [[uv, "venv", "--python", sys.executable, str(folder)]]
        steps.append([uv, "pip", "install", COMPILE[client in LARGE], "--python", python, "-r", wanted])
    else:
        steps = [[sys.executable, "-m", "venv", str(folder)]]
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--retries", "1"]
        steps.append([*pip, COMPILE_PIP[client in LARGE], "-r", wanted])
    for step in steps:
        code, said = answer(step, until - time.monotonic())
        if code:
            shutil.rmtree(folder, ignore_errors=True)
            _refused[client] = said
            refuse(client, said)


def answer(step: list[str], seconds: float) -> tuple[int, str]:
    """How a step of an installation ended, and what it said; one that takes longer is killed."""
    try:
        done = subprocess.run(step, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return -1, f"{' '.join(step[:4])} timed out after {seconds:.0f} s"
    return done.returncode, done.stdout + done.stderr


def refuse(client: str, said: str) -> None:
    """Skip where the registry is out of reach; anything else is a fault of the pins, and fails."""
    last = " / ".join(line.strip() for line in said.splitlines()[-3:])
    if any(sign in said.lower() for sign in UNREACHABLE):
        pytest.skip(f"{client} cannot be installed, the package registry is out of reach: {last}")
    pytest.fail(f"{client} cannot be installed as pinned in {REQUIREMENTS.name}/{client}.txt: {last}")
