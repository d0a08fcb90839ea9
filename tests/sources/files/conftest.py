"""Small files of market data, written as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gnomon.market.instrument import Instruments
from gnomon.sources.instruments import shipped_instruments

HOURLY = """timestamp,open,high,low,close,volume
2024-01-01 00:00:00,42000.5,42100,41900.25,42050,12.5
2024-01-01 01:00:00,42050,42200,42000,42150.75,10.25
2024-01-01 02:00:00,42150.75,42300,42100,42200,8
2024-01-01 03:00:00,42200,42250,42050,42100,9.125
2024-01-01 04:00:00,42100,42150,42000,42075.5,7.5
2024-01-01 05:00:00,42075.5,42100,41950,42000,6
"""


@pytest.fixture
def instruments() -> Instruments:
    return shipped_instruments()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(name, text or bytes or rows)` puts a file into a folder of the test."""

    def write_file(name: str, content: str | bytes | Sequence[str]) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else "\n".join(content) + "\n"
            path.write_text(text, encoding="utf-8", newline="")
        return path

    return write_file


@pytest.fixture
def hourly() -> list[str]:
    """The lines of a valid CSV: a header and six bars of BTCUSDT."""
    return HOURLY.splitlines()
