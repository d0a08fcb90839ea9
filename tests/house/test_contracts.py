"""The import contracts of `pyproject.toml` hold, and each of them catches a planted fault."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
HOUSE, DOORS, PURE, GATEWAY = CONTRACTS

FAULTS = [
    # contract, the file that is written or added to, what it says, what the report must say
    (HOUSE, "market/planted.py", "import gnomon.store.planted", "gnomon.market.planted -> gnomon.store.planted"),
    (HOUSE, "store/planted.py", "import gnomon.sources", "gnomon.store.planted -> gnomon.sources"),
    (HOUSE, "score/planted.py", "import gnomon.jobs", "gnomon.score.planted -> gnomon.jobs"),
    (HOUSE, "jobs/planted.py", "import gnomon.settings", "gnomon.jobs.planted -> gnomon.settings"),
    (HOUSE, "errors.py", "import gnomon.units", "gnomon.errors -> gnomon.units"),
    (HOUSE, "utils.py", "", "- gnomon.utils"),
    (DOORS, "serve/planted.py", "import gnomon.serve.gateway", "gnomon.serve.planted -> gnomon.serve.gateway"),
    (PURE, "market/planted_date.py", "import datetime", "gnomon.market.planted_date -> datetime"),
    (PURE, "units.py", "import time", "gnomon.units -> time"),  # a chain: score and market read units
    (GATEWAY, "serve/gateway/planted.py", "import gnomon.forecast.planted", "gnomon.forecast.planted -> torch"),
    (None, "forecast/planted.py", "import torch", ""),  # the other end of the chain above
]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the package under `tree/src`, in an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "1000", "NO_COLOR": "1"}
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What import-linter reports, by contract, on a copy of the tree with every fault planted."""
    tree = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", tree)
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for _, name, line, _ in FAULTS:
        with (tree / "src/gnomon" / name).open("a") as file:
            file.write(f"\n{line}\n")
    result = lint(tree)
    assert result.returncode == 1, result.stdout
    assert "Broken contracts" in result.stdout, result.stdout
    details = result.stdout.split("Broken contracts", 1)[1]
    headings = "|".join(re.escape(name) for name in CONTRACTS)
    parts = re.split(rf"^({headings})\n-+$", details, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_tree_keeps_its_import_contracts() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


def test_every_contract_has_a_planted_fault() -> None:
    assert {contract for contract, *_ in FAULTS if contract} == set(CONTRACTS)


@pytest.mark.parametrize(
    ("contract", "report"), [pytest.param(one[0], one[3], id=one[3]) for one in FAULTS if one[0] is not None]
)
def test_a_planted_fault_is_caught(broken: dict[str, str], contract: str, report: str) -> None:
    assert report in broken.get(contract, "")
