"""One venue process for each test process; sessions are made by the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clients.scene import Venue


@pytest.fixture(scope="session")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    home: Path = tmp_path_factory.mktemp("venue")
    found = Venue(home)
    try:
        found.open()
        yield found
    finally:
        found.close()
