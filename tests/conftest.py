"""Fixtures that every part shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real market data and golden numbers; tests that need it skip where it is absent."""
    root = Path(os.environ.get("GNOMON_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        pytest.skip("needs the shared data folder: set GNOMON_SHARED to it")
    return root
