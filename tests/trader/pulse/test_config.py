"""Configuration: what is in force, from defaults, manifests, files, the environment and flags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gnomon.errors import Invalid, NotFound, Refused
from gnomon.trader.pulse.config import Missing, deep_merged, is_real_money, load, presets_of, seal, unsealed

KEY = {"api_key": "k", "api_secret": "s"}


def written(folder: Path, document: Any, name: str = "pulse.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_defaults_are_those_of_the_table(tmp_path: Path) -> None:
    found = load(written(tmp_path, {"strategy_name": "ema_cross", "run": KEY}), {})
    assert (found.run.base_url, found.run.ws_url) == ("http://localhost:3001", "ws://localhost:3001")
    assert (found.run.symbol, found.run.stream_mode, found.run.interval) == ("BTCUSDT", "kline", "1m")
    assert (found.run.recv_window_ms, found.run.ws_timeout_seconds, found.run.ws_reconnect_max_seconds) == (
        5000,
        35,
        30,
    )
    assert (found.run.health_host, found.run.health_port, found.run.queue_maxsize) == ("127.0.0.1", 9109, 4096)
    assert (found.run.queue_offer_timeout_seconds, found.run.pending_poll_seconds) == (0.25, 1.0)
    assert (found.broker.adapter, found.telemetry.enabled, found.logging.backup_count) == ("gnomon_venue", False, 8)


def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'strategy_name = "ema_cross"\n[strategy]\nfast = 3\n[run]\napi_key = "a"\napi_secret = "b"\nsymbol = "X"\n'
        'interval = "5m"\nqueue_maxsize = 7\n',
        "pulse.toml",
    )
    environment = {
        "GNOMON_PULSE_RUN_SYMBOL": "Y", "GNOMON_PULSE_RUN_INTERVAL": "15m", "GNOMON_PULSE_STRATEGY_SLOW": "9",
        "GNOMON_PULSE_SECRET": "c", "PATH": "x",
    }  # fmt: skip
    found = load(path, environment, ["run.symbol=Z", "queue_maxsize=8", "strategy.fast=4"])
    assert (found.run.symbol, found.run.interval, found.run.queue_maxsize) == ("Z", "15m", 8)
    assert (found.run.api_key, found.run.api_secret) == ("a", "c")
    assert found.strategy == {"fast": 4, "slow": 9}


def test_old_spellings_are_read_and_obsolete_keys_are_ignored_with_a_warning(tmp_path: Path) -> None:
    document = {
        "strategy_name": "ema_cross",
        "run": {**KEY, "stream_mode": "agg_trade", "session_id": "ses_1", "session_poll_seconds": 2},
        "broker": {"adapter": "chronos_simulator"},
        "chronos": {"enabled": True, "publish_interval_seconds": 5},
    }
    found = load(written(tmp_path, document), {})
    assert found.run.stream_mode == "aggTrade"
    assert found.broker.adapter == "gnomon_venue"
    assert (found.telemetry.enabled, found.telemetry.publish_interval_seconds) == (True, 5.0)
    assert [one.split()[0] for one in found.warnings] == ["run.session_id", "run.session_poll_seconds"]
    assert "'k'" not in repr(found), "a key is shown to nobody"
    assert "k" not in found.document()["run"].values()


@pytest.mark.parametrize(
    ("document", "says", "hint"),
    [
        ({"strategy_name": "x", "run": {**KEY, "symbl": "X"}}, "run.symbl", "symbol"),
        ({"strategy_name": "x", "strateg": {}}, "strateg", "strategy"),
        ({"run": KEY}, "no strategy_name", "built-in"),
        ({"strategy_name": "x", "run": {**KEY, "health_port": "many"}}, "health_port", "number"),
        ({"strategy_name": "x", "run": {**KEY, "stream_mode": "klin"}}, "stream_mode", "kline"),
        ({"strategy_name": "x", "run": {**KEY, "concurrency": "concurrent"}}, "concurrency", "at its end"),
        ({"strategy_name": "x", "run": {**KEY, "concurrency": "seriall"}}, "concurrency", "serial"),
        ({"strategy_name": "x", "run": {**KEY, "base_url": "localhost"}}, "base_url", "http"),
        ({"strategy_name": "x", "run": {**KEY, "queue_maxsize": 0}}, "queue_maxsize", "1"),
        ({"strategy_name": "x", "telemetry": {"enabled": "maybe"}}, "telemetry.enabled", "true"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest(tmp_path: Path, document: Any, says: str, hint: str) -> None:
    with pytest.raises(Invalid, match=says) as error:
        load(written(tmp_path, document), {})
    assert hint in error.value.hint


def test_an_unknown_setting_of_the_environment_is_an_error() -> None:
    with pytest.raises(Invalid, match="GNOMON_PULSE_RUNN_SYMBOL"):
        load(None, {"GNOMON_PULSE_STRATEGY_NAME": "ema_cross", "GNOMON_PULSE_RUNN_SYMBOL": "X"})


def test_without_a_key_nothing_begins() -> None:
    with pytest.raises(Missing):
        load(None, {"GNOMON_PULSE_STRATEGY_NAME": "ema_cross"})
    assert load(None, {"GNOMON_PULSE_STRATEGY_NAME": "ema_cross"}, needs_key=False).strategy_name == "ema_cross"


@pytest.mark.parametrize("host", ["api.binance.com", "binance.us", "stream.binance.com", "api.kraken.com"])
def test_real_money_is_refused_unless_it_is_meant(tmp_path: Path, host: str) -> None:
    path = written(tmp_path, {"strategy_name": "ema_cross", "run": {**KEY, "ws_url": f"wss://{host}:9443"}})
    with pytest.raises(Refused, match=host):
        load(path, {})
    assert load(path, {}, means_it=True).run.ws_url.endswith("9443")
    assert not is_real_money("notbinance.com.example.org")


def test_manifests_and_presets_are_merged_deeply(tmp_path: Path) -> None:
    manifest = {
        "id": "crosses", "display_name": "Crosses", "strategy_name": "ema_cross", "strategy_paths": ["code"],
        "default_strategy": {"fast": 5, "slow": 30}, "default_run": {"interval": "5m", "symbol": "ETHUSDT"},
        "default_chronos": {"enabled": True},
    }  # fmt: skip
    written(tmp_path, manifest, "catalog/crosses/manifest.json")
    preset = {"display_name": "Slow", "strategy": {"slow": 200}, "run": {"interval": "15m"}}
    written(tmp_path, preset, "catalog/crosses/presets/slow.json")
    path = written(tmp_path, {"manifest": "catalog/crosses", "preset": "slow", "run": {**KEY, "symbol": "BNBUSDT"}})
    found = load(path, {})
    assert found.strategy == {"fast": 5, "slow": 200}
    assert (found.run.interval, found.run.symbol, found.telemetry.enabled) == ("15m", "BNBUSDT", True)
    assert [Path(one).name for one in found.strategy_paths] == ["code", "crosses"]
    assert presets_of(tmp_path / "catalog/crosses") == ["slow"]
    with pytest.raises(NotFound, match="slo") as error:
        load(written(tmp_path, {"manifest": "catalog/crosses", "preset": "slo"}, "other.json"), {})
    assert "slow" in error.value.hint


def test_a_key_may_come_from_the_environment_or_a_sealed_file(tmp_path: Path) -> None:
    document = {"strategy_name": "ema_cross", "credentials": {"provider": "env", "venue": "mine"}}
    found = load(written(tmp_path, document), {"MINE_API_KEY": "e", "MINE_API_SECRET": "f"})
    assert (found.run.api_key, found.run.api_secret) == ("e", "f")
    seal(tmp_path / "key.sealed", "g", "h", "a passphrase")
    assert "g" not in (tmp_path / "key.sealed").read_text().split('"')
    assert (tmp_path / "key.sealed").stat().st_mode & 0o077 == 0
    document["credentials"] = {"provider": "local_encrypted_file", "path": "key.sealed"}
    found = load(written(tmp_path, document), {"GNOMON_PULSE_PASSPHRASE": "a passphrase"})
    assert (found.run.api_key, found.run.api_secret) == ("g", "h")
    with pytest.raises(Refused, match="does not open"):
        unsealed(tmp_path / "key.sealed", "another")


def test_a_file_that_is_not_there_or_not_readable_is_said() -> None:
    with pytest.raises(NotFound, match="no configuration"):
        load(Path("nowhere.toml"), {})
    assert deep_merged({"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 3}, "d": {"e": 1}}) == {
        "a": {"b": 3, "c": 2},
        "d": {"e": 1},
    }


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        load(written(tmp_path, "{"), {})
    with pytest.raises(Invalid, match="--set"):
        load(written(tmp_path, {"strategy_name": "x", "run": KEY}), {}, ["symbol"])
