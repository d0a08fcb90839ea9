"""The eight deliberate faults of determinism, each planted in a copy of the real source and caught by named tests.

`faults.py` says which change and which tests. Every test named must fail on the copy with the fault, and pass on a copy
without: a guard that lets its fault through fails here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.house.test_pure import complaints
from tests.replay.faults import FAULTS, TIDY

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/gnomon"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A copy of the package's source, compiled files too: what is not changed need not be compiled again."""

    def fresh(name: str) -> Path:
        folder = tmp_path_factory.mktemp(re.sub(r"\W+", "_", name))
        shutil.copytree(SOURCE, folder / "gnomon", ignore=shutil.ignore_patterns("serve", "*.html", "*.js"))
        return folder

    return fresh


def failed(source: Path, tests: Sequence[str]) -> tuple[set[str], str]:
    """Those of the tests that fail on that source, and what was printed."""
    paths = os.pathsep.join([str(source), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # starts in half the time
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=line", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    printed = done.stdout + done.stderr
    assert done.returncode in (0, 1), printed  # ran, and collected all that was asked for
    return {one for one in tests if f"FAILED {one}" in printed}, printed


@pytest.mark.parametrize("letter", FAULTS)
def test_a_deliberate_fault_is_caught(letter: str, copy: Callable[[str], Path]) -> None:
    fault = FAULTS[letter]
    sound = (SOURCE / fault.module).read_text(encoding="utf-8")
    planted = fault.plant(sound)
    if TIDY in fault.caught_by:  # what that test says of this module, without reading all the others again
        assert complaints(fault.module, sound) == []
        assert complaints(fault.module, planted) != []
    runs = [test for test in fault.caught_by if test != TIDY]
    if runs:
        source = copy(letter)
        (source / "gnomon" / fault.module).write_text(planted, encoding="utf-8")
        found, printed = failed(source, runs)
        assert found == {*runs}, printed


def test_the_real_source_passes_what_catches_the_faults(copy: Callable[[str], Path]) -> None:
    guards = list(dict.fromkeys(test for fault in FAULTS.values() for test in fault.caught_by))
    found, printed = failed(copy("real"), guards)
    assert found == set(), printed
    assert printed.count(".") >= len(guards)


def test_every_letter_of_the_list_has_its_fault() -> None:
    assert {letter[0] for letter in FAULTS} == {*"abcdefgh"}
    assert all(fault.caught_by for fault in FAULTS.values())
