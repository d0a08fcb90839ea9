"""The verbs of the runtime: what they print, and with what they exit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gnomon.cli.main import app

runner = CliRunner()


def called(*arguments: str) -> Any:
    return runner.invoke(app, ["pulse", *arguments], env={"GNOMON_PULSE_API_KEY": "", "GNOMON_PULSE_API_SECRET": ""})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pulse.json"
    document = {
        "strategy_name": "ema_cross",
        "strategy": {"fast": 5, "slow": 9},
        "run": {"api_key": "k", "api_secret": "top secret", "base_url": "http://127.0.0.1:9", "session_id": "ses_1",
                "ws_url": "ws://127.0.0.1:9", "health_port": 0},
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


def test_check_says_what_is_in_force_and_no_secret(config: Path) -> None:
    result = called("check", "--config", str(config), "--set", "symbol=ETHUSDT", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["run"]["symbol"], found["strategy"]) == ("ETHUSDT", {"fast": 5, "slow": 9})
    assert len(found["fingerprint"]) == 64
    assert "session_id is obsolete" in found["warnings"][0]
    assert "top secret" not in result.output
    assert "is ready" in called("check", "--config", str(config)).output


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--set", "run.simbol=X"], 2, "symbol"),
        (["--set", "strategy_name=ema_crss"], 2, "ema_cross"),
        (["--set", "strategy.fast=99"], 2, "fast"),
        (["--set", "api_key="], 3, "API key"),
        (["--set", "base_url=https://api.binance.com"], 2, "real money"),
    ],
)
def test_what_is_wrong_ends_with_its_code(config: Path, flags: list[str], code: int, says: str) -> None:
    for verb in ("check", "run"):
        result = called(verb, "--config", str(config), *flags, "--json")
        assert result.exit_code == code, result.output
        found = json.loads(result.stdout)
        assert found["exit"] == code
        assert says in json.dumps(found)


def test_a_venue_that_is_not_there_ends_with_4(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.trader.pulse.client.FIRST_WAIT_S", 0.0)
    result = called("run", "--config", str(config), "--json")
    assert result.exit_code == 4, result.output
    assert json.loads(result.stdout)["error"] == "unavailable"


def test_the_built_in_strategies_are_listed_with_their_parameters() -> None:
    found = json.loads(called("strategies", "--json").stdout)["strategies"]
    by_name = {one["name"]: one["params"] for one in found}
    assert by_name["ema_cross"]["fast"] == 20
    assert "buy_and_hold" in called("strategies").output


def test_it_can_log_into_a_file(config: Path, tmp_path: Path) -> None:
    flags = ["--set", "logging.enabled=true", "--set", f"logging.directory={tmp_path / 'logs'}"]
    called("run", "--config", str(config), *flags, "--set", "base_url=http://127.0.0.1:9", "--json")
    assert (tmp_path / "logs/pulse-runtime.log").exists()
