"""Golden digests under every interpreter that this machine has, each with three hash seeds.

Looked for: `python3.11` to `python3.19` on the path and beside pyenv's shims, and whatever `GNOMON_PYTHONS` names
(paths, as in PATH). The engine needs NumPy and nothing else; an interpreter without it, or too old, is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/digests.json").read_text(encoding="utf-8"))
ASK = "import sys, numpy; print('.'.join(map(str, sys.version_info[:3])), numpy.__version__)"
DIGESTS = """
import json
from tests.replay import fixed_records, fixed_runs
print(json.dumps({"journal": fixed_records.digests(), "runs": fixed_runs.digests()}))
"""


@cache
def interpreters() -> dict[str, str]:
    """Name to path of all that are there, whether they have NumPy or not."""
    found = {"python of these tests": sys.executable}
    for minor in range(11, 20):
        name = f"python3.{minor}"
        if path := shutil.which(name):
            found[name] = path
    for path in filter(None, os.environ.get("GNOMON_PYTHONS", "").split(os.pathsep)):
        found[path] = path
    return found


def _asked(path: str, code: str, seed: str = "0", folder: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    environment["PYTHONPYCACHEPREFIX"] = folder
    return subprocess.run([path, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.slow
@pytest.mark.parametrize("name", interpreters())
def test_no_interpreter_and_no_hash_seed_moves_a_golden_digest(name: str, tmp_path: Path) -> None:
    path = interpreters()[name]
    version = _asked(path, ASK)
    if version.returncode:
        pytest.skip(f"{name} does not run, or has no NumPy")
    major, minor, *_ = version.stdout.split(".")
    if (int(major), int(minor)) < (3, 11):
        pytest.skip(f"{name} is {version.stdout.split()[0]}; Gnomon needs 3.11")
    for seed in ("0", "1", "random"):
        said = _asked(path, DIGESTS, seed, str(tmp_path))
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout) == GOLDEN, f"{version.stdout.strip()} with PYTHONHASHSEED={seed}"


def test_the_interpreter_of_these_tests_is_among_them() -> None:
    assert sys.executable in interpreters().values()
