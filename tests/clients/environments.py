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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parent / "requirements"
LARGE = ("freqtrade",)  # half a gigabyte: made only where GNOMON_TEST_LARGE_CLIENTS is set, used wherever it is there
COMPILE = ("--no-compile-bytecode", "--compile-bytecode")  # ccxt has hundreds of modules that nobody imports
COMPILE_PIP = ("--no-compile", "--compile")
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
        with held(folder):
            if not ready.exists():
                make(client, folder)
                ready.touch()
    return folder / "bin" / "python"


def root() -> Path:
    return Path(os.environ.get("GNOMON_TEST_ENVS") or Path.home() / ".cache" / "gnomon-test-envs")


def fingerprint(client: str) -> str:
    text = f"{sys.version_info[:2]} {sys.platform} {(REQUIREMENTS / f'{client}.txt').read_text()}"
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Alone among all test processes of this machine."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(client: str, folder: Path) -> None:
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
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            refuse(client, done.stdout + done.stderr)


def refuse(client: str, said: str) -> None:
    """Skip where the registry is out of reach; anything else is a fault of the pins, and fails."""
    last = " / ".join(line.strip() for line in said.splitlines()[-3:])
    if any(sign in said.lower() for sign in UNREACHABLE):
        pytest.skip(f"{client} cannot be installed, the package registry is out of reach: {last}")
    pytest.fail(f"{client} cannot be installed as pinned in {REQUIREMENTS.name}/{client}.txt: {last}")
