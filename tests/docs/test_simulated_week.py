"""The example that steps virtual time through a week: here a third of a day of a synthetic market."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-W", "error", EXAMPLES / script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout


def test_every_hour_is_forecast_once_from_the_bars_that_had_closed(tmp_path: Path) -> None:
    run("synthetic_market.py", tmp_path, "--days", "110", "--until", "2026-01-02")
    files = [tmp_path / f"{symbol}-1h.parquet" for symbol in ("BTCUSDT", "ETHUSDT")]
    found = json.loads(run("simulated_week.py", *files, "--from", "2026-01-01", "--days", "0.33"))
    assert found["slots"] == {"issued": 2 * 8 * 7} == {"issued": found["expected_slots"]}
    assert found["forecasts"] == found["expected_slots"]
    assert not any(found["faults"].values())
    assert found["by_ensemble"] == 2 * 8
    assert found["scores"]["raw"] > 0
