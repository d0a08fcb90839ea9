"""What is compiled, where it can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.forecast.kronos.draws import tokens

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
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True, timeout=600
    )
    assert done.stdout.strip() == "False"


FAULTS = {
    "any failure of numba": ("numba", "raise ImportError('Numba needs NumPy 2.2 or less')", "ImportError: Numba needs"),
    "any failure of llvmlite": ("llvmlite", "raise OSError('libllvmlite.so')", "OSError: libllvmlite.so"),
    "switched off": ("", "", "NUMBA_DISABLE_JIT is set"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_numba_that_does_not_work_is_warned_of_and_leaves_tokens_as_they_are(tmp_path: Path, fault: str) -> None:
    package, body, why = FAULTS[fault]
    if package:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(body)
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tmp_path), str(root / "src"), str(root)])
    environment = os.environ | {"PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "0" if package else "1"}
    command = [sys.executable, "-m", "tests.forecast.kronos.draws"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("RuntimeWarning: numba is not used, which is slower") == 1
    assert why in done.stderr
    assert AVAILABLE
    assert json.loads(done.stdout) == {"compiled": False, "tokens": tokens()}


def test_to_import_it_is_cheap_until_it_is_asked() -> None:
    program = (
        "import sys\nfrom gnomon import compiled\nassert 'numba' not in sys.modules\n"
        "assert compiled.AVAILABLE and 'numba' in sys.modules\n"
        "try: compiled.ABSENT\nexcept AttributeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "module 'gnomon.compiled' has no attribute 'ABSENT'"
