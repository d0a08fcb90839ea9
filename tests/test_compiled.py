"""What is compiled, where it can be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from gnomon.compiled import AVAILABLE, SUMS_IN_ANY_ORDER, compiled


def _sum(x: object) -> float:
    total = np.float32(0.0)
    for one in x:  # type: ignore[attr-defined]  # an array, to numba
        total += one
    return float(total)


def test_a_compiled_function_gives_what_it_says_interpreted() -> None:
    x = np.random.default_rng(1).normal(size=1_000).astype(np.float32)
    exact, free = compiled()(_sum), compiled(sums=SUMS_IN_ANY_ORDER)(_sum)
    assert AVAILABLE
    assert exact is not _sum
    assert exact(x) == _sum(x)  # the same order, the same bytes
    assert abs(free(x) - _sum(x)) < 1e-3


def test_what_cannot_be_kept_is_compiled_all_the_same() -> None:
    scope: dict[str, Any] = {}
    exec("def double(x): return 2 * x", scope)  # of no file
    assert compiled()(scope["double"])(21) == 42


def test_without_numba_a_function_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('not installed')")
    program = (
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'numba' else real(name, *more)\n"
        "from gnomon import compiled\n"
        "def f(x): return x + 1\n"
        "assert not compiled.AVAILABLE and compiled.compiled()(f) is f\n"
        "import gnomon.forecast.kronos.packed, sys; print('numba' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "False"
