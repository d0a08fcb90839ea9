"""What an import costs: a fresh interpreter for each package, and what it must not have loaded.

import-linter reads the text of imports; it doesn't see what NumPy or a package's `__init__` pulls in. This does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"

MODELS = {"torch", "transformers", "chronos", "lightgbm", "numba", "ray", "peft", "safetensors", "huggingface_hub"}
WEB = {"fastapi", "starlette", "uvicorn", "httpx", "pydantic", "asyncio", "http", "socket"}
SQL = {"sqlalchemy", "alembic", "sqlite3", "psycopg"}
FRAMES = {"pandas", "pyarrow", "exchange_calendars"}
PICTURES = {"matplotlib"}
DEVELOPERS = {"scipy", "pytest", "hypothesis", "scoringrules", "utilsforecast"}  # not in the base install

PURE = MODELS | WEB | SQL | FRAMES | PICTURES | DEVELOPERS
HEAVY = MODELS | PICTURES | DEVELOPERS

NOT_LOADED = {
    # what is imported (a package stands for all its modules) and what must not come with it
    "gnomon": PURE | {"numpy", "typing_extensions"},
    "gnomon.errors": PURE | {"numpy"},
    "gnomon.settings": HEAVY | SQL | FRAMES | {"numpy", "fastapi", "httpx"},
    "gnomon.lockstep": (PURE | {"numpy", "orjson"}) - {"asyncio", "http", "socket"},
    "gnomon.units": PURE,
    "gnomon.clock": PURE,
    "gnomon.chance": PURE,
    "gnomon.market": PURE,
    "gnomon.forecast": PURE,
    "gnomon.exchange": PURE,
    "gnomon.replay": PURE,
    "gnomon.trader": PURE,
    "gnomon.trader.pulse": HEAVY | SQL | FRAMES | {"fastapi", "starlette", "uvicorn", "pydantic", "httpx", "asyncio"},
    "gnomon.compat": PURE,
    "gnomon.score": PURE,
    "gnomon.report": PURE - PICTURES - {"socket"},  # matplotlib brings it
    "gnomon.store": HEAVY | FRAMES | {"fastapi", "httpx", "psycopg"},
    "gnomon.sources": HEAVY | SQL | {"fastapi", "ccxt"},
    "gnomon.jobs": HEAVY | {"fastapi", "httpx", "ccxt"},
    "gnomon.serve.gateway": HEAVY | FRAMES | {"gnomon.forecast.baselines", "gnomon.jobs.predict", "dbos"},
    "gnomon.cli.main": HEAVY | WEB | SQL | FRAMES,
}

ASK = """
import json, sys
before = set(sys.modules)
exec(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(statements: str) -> set[str]:
    """The modules that a fresh interpreter loads to run the statements, with every parent package."""
    result = subprocess.run(
        [sys.executable, "-c", ASK, statements], capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stderr
    modules = json.loads(result.stdout.splitlines()[-1])
    return {".".join(module.split(".")[: depth + 1]) for module in modules for depth in range(module.count(".") + 1)}


def modules_of(name: str) -> list[str]:
    """The module, or all modules of the package but those of an inner one that has a row of its own; migrations only
    run inside Alembic."""
    folder = SOURCES.joinpath(*name.split("."))
    if name == "gnomon" or not folder.is_dir():
        return [name]
    files = (
        file
        for file in sorted(folder.rglob("*.py"))
        if "migrations" not in file.parts and not NETWORK.search(file.read_text(encoding="utf-8"))
    )
    names = [".".join(file.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__") for file in files]
    inner = tuple(one for one in NOT_LOADED if one.startswith(f"{name}."))
    return [one for one in names if not one.startswith(inner)] if inner else names


NETWORK = re.compile(
    r"^(import|from) (torch|safetensors|gnomon\.compiled|gnomon\.exchange\.kernels|gnomon\.exchange import kernels)\b",
    re.MULTILINE,
)
"""A module that is made of PyTorch or of kernels; test_tidy.py says where it may stand. No other may bring it along."""

SECONDS = {"gnomon.store", "gnomon.sources", "gnomon.jobs", "gnomon.serve.gateway"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SECONDS else []) for name in NOT_LOADED]
)
def test_importing_loads_no_more_than_it_should(name: str) -> None:
    loaded = loaded_by("import " + ", ".join(modules_of(name)))
    assert name in loaded
    assert not loaded & NOT_LOADED[name]


def test_asking_for_help_loads_no_more_than_the_command_line() -> None:
    loaded = loaded_by(
        "import sys; sys.argv = ['gnomon', '--help']\n"
        "from gnomon.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code"
    )
    assert not loaded & NOT_LOADED["gnomon.cli.main"]


def test_every_package_is_in_the_table() -> None:
    packages = {
        f"gnomon.{folder.name}" for folder in (SOURCES / "gnomon").iterdir() if (folder / "__init__.py").exists()
    }
    covered = {name for name in NOT_LOADED if name != "gnomon"}
    assert {one for one in packages if not any(name.startswith(one) for name in covered)} == set()


@pytest.mark.parametrize("module", ["sqlite3", "asyncio", "gnomon.market.tape"])
def test_a_planted_import_is_seen(module: str) -> None:
    assert module in loaded_by(f"import gnomon.errors, {module}")
