"""The linters run over the tree with our configuration, and each catches a planted fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

ROOT = Path(__file__).parents[2]
RUFF = Path(sys.executable).with_name("ruff")


def run(*command: str | Path, source: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, check=False, timeout=600)


def test_the_tree_is_clean_to_ruff() -> None:
    for command in (("check", "--output-format=concise"), ("format", "--check")):
        result = run(RUFF, *command, "--no-cache", ".")
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("code", "source"),
    [
        ("F401", "import os\n"),
        ("E501", f"x = '{'x' * 121}'\n"),
        ("T201", "print('x')\n"),
        ("DTZ005", "import datetime\n\nx = datetime.datetime.now()\n"),
        ("NPY002", "import numpy as np\n\nx = np.random.rand(1)\n"),
        ("E722", "try:\n    x = 1\nexcept:\n    x = 2\n"),
        ("B006", "def f(x=[]):\n    return x\n"),
        ("I001", "import sys\nimport os\n\nx = (os, sys)\n"),
        ("RUF100", "x = 1  # noqa: E501 - it is short\n"),
        ("PTH123", "x = open('x')\n"),
    ],
)
def test_ruff_catches_a_planted_fault(code: str, source: str) -> None:
    result = run(RUFF, "check", "--no-cache", "--stdin-filename", "src/gnomon/planted.py", "-", source=source)
    assert result.returncode == 1
    assert code in result.stdout


def test_ruff_catches_a_planted_layout() -> None:
    result = run(
        RUFF, "format", "--check", "--no-cache", "--stdin-filename", "src/gnomon/planted.py", "-", source="x=1"
    )
    assert result.returncode == 1


FAULTS = {
    "arg-type": "def f(x: int) -> int:\n    return x\n\n\nf('x')\n",
    "no-untyped-def": "def f(x):\n    return x\n",
    "type-arg": "def f(x: list) -> None: ...\n",
    "no-any-return": "from typing import Any\n\n\ndef f(x: Any) -> int:\n    return x\n",
    "union-attr": "def f(x: str | None) -> str:\n    return x.upper()\n",
    "unreachable": "def f(x: int) -> int:\n    if isinstance(x, str):\n        return 1\n    return x\n",
    "ignore-without-code": "x: int = 'x'  # type: ignore\n",
    "unused-ignore": "x: int = 1  # type: ignore[misc]\n",
}


@pytest.mark.slow
def test_the_tree_is_clean_to_mypy_and_planted_faults_are_not(tmp_path: Path) -> None:
    """One run: most of it goes into what we import."""
    mark = uuid4().hex  # mypy remembers what it said of a module of the same name and content, its old path included
    stranger = tmp_path / f"stranger_{mark}.py"
    stranger.write_text("import gnomon\n\ngnomon.Candles\ngnomon.Candle\n", encoding="utf-8")
    planted = {code: tmp_path / f"{code.replace('-', '_')}_{mark}.py" for code in FAULTS}
    for code, file in planted.items():
        file.write_text(FAULTS[code], encoding="utf-8")
    result = run(sys.executable, "-m", "mypy", "src", stranger, *planted.values())
    errors = [line for line in result.stdout.splitlines() if ": error: " in line]
    assert [line for line in errors if str(tmp_path) not in line] == [], result.stderr
    (of_the_face,) = [line for line in errors if stranger.name in line]
    assert 'no attribute "Candle"' in of_the_face
    for code, file in planted.items():
        assert any(file.name in line and f"[{code}]" in line for line in errors), result.stdout
