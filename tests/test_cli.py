"""The command line is a contract: exit codes, one JSON document, errors with a hint."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.processes import put_down
from typer.testing import CliRunner, Result

from gnomon.cli.main import app

PATIENCE_S = 600.0  # only what hangs takes so long
BOARD_KEYS = {
    *("forecaster", "instrument", "n", "pinball", "skill", "skill_lo", "skill_hi", "coverage80", "verdict"),
}
pytestmark = pytest.mark.usefixtures("home")

EVALUATE = (
    *("evaluate", "--timeframe", "1h", "--horizon", "6", "--stride", "6"),
    *("--from", "2024-02-01", "--to", "2024-02-06", "--forecasters", "drift"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and a folder with a good and a bad file to stand in."""
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GNOMON_SOURCES", "none")
    for name in ("GNOMON_DATABASE_URL", "GNOMON_INSTRUMENTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    times = (np.datetime64("2024-01-01T00:00") + np.arange(1_000) * np.timedelta64(1, "h")).astype(str)
    close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.004, len(times)))), 2)
    rows = [
        f"{at},{price:.2f},{price + 1:.2f},{price - 1:.2f},{price:.2f},5"
        for at, price in zip(times, close, strict=True)
    ]
    header = "timestamp,open,high,low,close,volume"
    Path("BTCUSDT-1h.csv").write_text("\n".join([header, *rows]) + "\n")
    Path("ETHUSDT-1h.csv").write_text(
        "\n".join([header, *rows[:100], "2024-01-05T04:00,1,0.5,2,1,5", *rows[101:200]]) + "\n"
    )
    return tmp_path / "home"


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result


def document(*words: str, code: int = 0) -> Any:
    """What a verb says with --json: one document on stdout and nothing else."""
    return json.loads(run(*words, "--json", code=code).stdout)


@pytest.fixture
def evaluated(home: Path) -> Path:
    run("import", "BTCUSDT-1h.csv")
    run(*EVALUATE)
    return home


def test_import_says_what_became_of_each_file() -> None:
    [good, bad] = document("import", "BTCUSDT-1h.csv", "ETHUSDT-1h.csv", code=1)["files"]
    assert (good["status"], good["rows"], good["candles_added"]) == ("imported", 1_000, 1_000)
    assert good["series"][0]["instrument"] == "binance:BTCUSDT"
    assert bad["status"] == "refused"
    assert "ETHUSDT-1h.csv" in bad["error"]["message"]
    assert "102" in bad["error"]["message"], "the line as a person counts it"
    assert "--skip-bad" in bad["error"]["hint"]


def test_a_second_import_of_the_same_content_is_known() -> None:
    first = document("import", "BTCUSDT-1h.csv")["files"][0]
    Path("copy-BTCUSDT-1h.csv").write_bytes(Path("BTCUSDT-1h.csv").read_bytes())
    again = document("import", "copy-BTCUSDT-1h.csv", "--instrument", "BTCUSDT")["files"][0]
    assert (again["status"], again["candles_added"], again["dataset"]) == ("known", 0, first["dataset"])
    assert len(document("datasets")["datasets"]) == 1


def test_skip_bad_keeps_the_good_rows_and_writes_the_rest_to_a_file() -> None:
    [report] = document("import", "ETHUSDT-1h.csv", "--skip-bad")["files"]
    assert (report["rows"], report["rejected_rows"]) == (199, 1)
    assert "102" in Path(report["reject_file"]).read_text()


def test_a_passport_is_found_by_name_and_by_the_start_of_its_hash() -> None:
    run("import", "BTCUSDT-1h.csv")
    passport = document("datasets", "BTCUSDT-1h")
    assert document("datasets", passport["hash"][:8]) == passport
    assert document("datasets", "BTCUSD-1h", code=1)["error"] == "not_found"


@pytest.mark.usefixtures("evaluated")
def test_evaluate_answers_with_the_board_of_the_contract() -> None:
    answer = document(*EVALUATE)
    assert answer["issued"] == 0, "the fixture has run it already"
    assert {row["forecaster"] for row in answer["board"]} == {"ewma", "drift"}, "never without the reference"
    assert all(set(row) >= BOARD_KEYS for row in answer["board"])
    assert document("board", "--timeframe", "1h", "--lane", "backfill")["board"]


@pytest.mark.usefixtures("evaluated")
def test_the_board_of_the_disagreement_flag_is_about_the_pair_that_was_watched() -> None:
    asked = ("board", "--timeframe", "1h", "--lane", "backfill", "--disagreement")
    assert document(*asked) == {"disagreement": []}
    assert "no pool in lane backfill has watched two of its members yet" in run(*asked).stderr
    pool = (*EVALUATE[:-1], f"{EVALUATE[-1]},ensemble-pool")
    document(*pool, "--disagreement", "ewma,drift", "--on-disagree", "flag")
    [card] = document(*asked)["disagreement"]
    assert card["pair"] == ["ewma", "drift"]
    assert card["rest"] > 0
    assert "ewma and drift: " in run(*asked).stderr + run(*asked).stdout
    assert "two members" in document(*pool, "--disagreement", "ewma", code=1)["hint"]
    assert document(*pool, "--on-disagree", "shrug", code=1)["error"] == "invalid"


@pytest.mark.usefixtures("evaluated")
def test_gates_are_put_to_what_is_scored_and_leave_a_report() -> None:
    told = document("gates", "--lane", "backfill", "--report", "made")
    assert {one["gate"] for one in told["gates"]} == {"coverage", "event-window", "spread", "direction"}
    kept = json.loads((Path(told["report"]) / "gates.json").read_text())
    assert kept == {name: value for name, value in told.items() if name != "report"}
    assert told["releases"] == 0, "no calendar is stored"
    again = document(*EVALUATE, "--gates")
    [stage] = again["gates"]
    assert stage["gates"][0]["forecaster"] == "drift"
    assert Path(stage["report"]).parent.name == "reports"
    assert "no figure: 0 releases lie among the targets" in run("gates", "--lane", "backfill").stdout
    assert document("gates", code=1)["error"] == "invalid", "nothing live is scored"
    assert (
        document("gates", "--lane", "backfill", "--stage", "raw", "--from", "2030-01-01", code=1)["error"] == "invalid"
    )


@pytest.mark.usefixtures("evaluated")
def test_a_board_counts_slots_where_there_are_any() -> None:
    assert document("board", "--lane", "backfill", "--missed-as-naive")["slots"] == []


@pytest.mark.usefixtures("evaluated")
def test_forecast_and_score_have_their_lanes() -> None:
    issued = document(
        "forecast", "--timeframe", "1h", "--horizon", "3", "--as-of", "2024-02-03T10:20", "--forecasters", "fhs"
    )
    assert (issued["lane"], issued["issued"]) == ("backfill", 2)
    [reference, fhs] = issued["forecasts"]
    assert (reference["forecaster"], fhs["forecaster"]) == ("ewma", "fhs")
    assert fhs["data_cutoff"] == "2024-02-03T10:00:00Z"
    assert len(fhs["p10"]) == len(fhs["target_timestamps"]) == 3
    assert document("score", "--lane", "backfill")["rows"] == 6
    assert document("score")["rows"] == 0, "nothing live was issued"


@pytest.mark.usefixtures("evaluated")
def test_now_is_refused_when_the_newest_bar_is_old() -> None:
    answer = document("forecast", "--timeframe", "1h", "--horizon", "3", code=1)
    assert answer["issued"] == 0
    assert "is missing (newest: 2024-02-11T16:00:00Z)" in answer["missed"][0]["reason"]


@pytest.mark.slow
@pytest.mark.usefixtures("evaluated")
@pytest.mark.parametrize("ending", ["png", "html"])
def test_plots_are_written(ending: str) -> None:
    fan = document("plot", "--instrument", "BTCUSDT", "--lane", "backfill", "--out", f"fan.{ending}")["file"]
    curve = document("plot", "--calibration", "--lane", "backfill", "--out", f"curve.{ending}")["file"]
    for file in (fan, curve):
        content = Path(file).read_bytes()
        assert content.startswith(b"\x89PNG" if ending == "png" else b"<!doctype html>")
        assert len(content) > 10_000


@pytest.mark.usefixtures("evaluated")
def test_plot_says_what_it_cannot_do() -> None:
    assert "png or .html" in document("plot", "--calibration", "--lane", "backfill", "--out", "x.gif", code=1)["hint"]
    assert document("plot", "--instrument", "BTCUSDT", code=1)["error"] == "not_found"
    assert document("plot", code=1)["error"] == "invalid"


def test_verify_passes_and_names_the_row_that_was_changed(evaluated: Path) -> None:
    assert document("verify", "forecasts")["ok"] is True
    with sqlite3.connect(evaluated / "gnomon.db") as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f'DROP TRIGGER "{trigger}"')
        (victim,) = raw.execute("SELECT id FROM forecasts ORDER BY seq LIMIT 1 OFFSET 4").fetchone()
        raw.execute("UPDATE forecasts SET base_price = base_price + 0.01 WHERE id = ?", (victim,))
    raw.close()
    answer = document("verify", "forecasts", code=1)
    [broken] = [lane["broken"] for lane in answer["lanes"] if not lane["ok"]]
    assert broken["id"] == victim


@pytest.mark.usefixtures("evaluated")
def test_a_board_as_of_an_instant_is_made_of_the_scores_that_were_there() -> None:
    whole = document("board", "--lane", "backfill")
    assert whole["board"]
    assert document("board", "--lane", "backfill", "--as-of", "2199-01-01") == whole
    assert document("board", "--lane", "backfill", "--as-of", "2020-01-01")["board"] == []


def test_verify_names_the_first_day_whose_digest_is_not_the_ledger_s(evaluated: Path) -> None:
    assert document("verify")["digests"] == {"count": 0, "ok": True, "broken": None}
    with sqlite3.connect(evaluated / "gnomon.db") as raw:
        for day in ("2024-02-02", "2024-02-01"):
            raw.execute("INSERT INTO ledger_digests VALUES (?, 'backfill', 1, 2, 'x', NULL)", (day,))
    raw.close()
    answer = document("verify", code=1)
    assert all(lane["ok"] for lane in answer["lanes"])
    assert (answer["ok"], answer["digests"]["broken"]["day"]) == (False, "2024-02-01")


@pytest.mark.usefixtures("evaluated")
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("forecast", "--timeframe", "1x", "--horizon", "3"), "not a timeframe"),
        (("forecast", "--timeframe", "1h", "--horizon", "3", "--instruments", "BTCUSD"), "no instrument 'BTCUSD'"),
        ((*EVALUATE[:7], "--from", "2024-13-01", "--to", "2024-02-01"), "not an instant"),
        (("board", "--lane", "dead"), "lane 'dead'"),
        (("verify", "nothing"), "no run 'nothing'"),
        (("import", "absent.csv"), "no file absent.csv"),
    ],
)
def test_a_refusal_is_a_message_a_hint_and_exit_1(words: Sequence[str], complaint: str) -> None:
    said = run(*words, code=1).stderr
    assert complaint in said
    assert "hint: " in said
    answer = document(*words, code=1)
    assert set(answer) == {"error", "message", "hint", "detail"}


@pytest.mark.parametrize(
    "words", [("forecast",), ("evaluate", "--timeframe", "1h"), ("nonsense",), ("board", "--nonsense")]
)
def test_wrong_usage_is_exit_2(words: Sequence[str]) -> None:
    run(*words, code=2)


def test_db_upgrade_says_what_it_applied() -> None:
    assert document("db", "upgrade")["applied"]
    assert document("db", "upgrade")["applied"] == []


def test_the_version_is_the_package_s() -> None:
    from gnomon import __version__

    assert run("--version").stdout.strip() == __version__


# --- work for later -------------------------------------------------------------------------------------------------


def test_schedules_are_listed_changed_paused_and_triggered() -> None:
    listed = {one["name"]: one for one in document("schedules", "list")["schedules"]}
    assert listed["baseline-batch-1h"]["cron"] == "55 * * * *"
    assert listed["kronos-batch-1h"]["next"] is None, "until its weights are there"
    changed = document("schedules", "set", "weigh-1h", "--cron", "7 4 * * *", "--timezone", "Europe/Berlin")
    assert (changed["cron"], changed["timezone"], changed["edited"]) == ("7 4 * * *", "Europe/Berlin", True)
    assert document("schedules", "pause", "weigh-1h")["next"] is None
    assert document("schedules", "resume", "weigh-1h")["next"] is not None
    assert document("schedules", "trigger", "score-signals-1h")["job_id"].endswith("+manual-1")
    window = ("--from", "2026-01-01", "--to", "2026-01-01T03:00:00Z")
    made = document("schedules", "backfill", "score-signals-1h", *window)["jobs"]
    assert [one["job_id"] for one in made] == [f"score:1h:2026-01-01T0{hour}:05:00Z" for hour in range(3)]
    assert {one["created"] for one in document("schedules", "backfill", "score-signals-1h", *window)["jobs"]} == {False}
    assert document("schedules", "set", "nonsense", code=1)["error"] == "not_found"


def test_jobs_are_made_once_listed_cancelled_and_resumed() -> None:
    args = ("--args", '{"timeframe": "1h"}')
    assert document("jobs", "enqueue", "score", "by-hand", *args)["created"]
    again = document("jobs", "enqueue", "score", "by-hand", *args)
    assert (again["job_id"], again["created"], again["state"]) == ("score:by-hand", False, "waiting")
    assert [one["id"] for one in document("jobs", "list", "--kind", "score")["jobs"]] == ["score:by-hand"]
    assert document("jobs", "list", "--state", "done,failed")["jobs"] == []
    assert document("jobs", "cancel", "score:by-hand")["state"] == "cancelled"
    assert document("jobs", "resume", "score:by-hand")["state"] == "waiting"
    assert document("jobs", "retry", "score:by-hand", code=1)["error"] == "conflict"
    shown = document("jobs", "show", "score:by-hand")
    assert (shown["queue"], shown["args"], shown["steps"]) == ("cpu", {"timeframe": "1h"}, [])
    assert "score:by-hand" in run("jobs", "list").stdout
    for words in (("jobs", "show", "score:none"), ("jobs", "enqueue", "nonsense", "x")):
        assert document(*words, code=1)["error"] == "not_found"
    assert document("jobs", "enqueue", "score", "x", "--args", "[1]", code=1)["error"] == "invalid"
    assert document("jobs", "list", "--state", "asleep", code=1)["error"] == "invalid"


def test_a_tick_enqueues_what_is_due_and_a_second_one_nothing(home: Path) -> None:
    assert document("tick")["jobs"] == [], "what was due before is not made up"
    with sqlite3.connect(home / "gnomon.db") as database:
        database.execute("UPDATE schedules SET fired_until = fired_until - 7200000000000")
    database.close()
    made = [one["job_id"] for one in document("tick")["jobs"]]
    assert len([one for one in made if one.startswith("predict:1h:baselines:")]) == 2
    assert document("tick")["jobs"] == []


def test_ingest_without_a_source_says_so() -> None:
    assert document("ingest", "--timeframe", "1h", "--instruments", "SPY", code=1)["series"][0]["error"]["hint"]
    assert document("ingest", "--timeframe", "1h", "--revise", code=1)["error"] == "invalid"


@pytest.mark.slow
def test_a_worker_does_a_job_and_stops_when_it_is_told(evaluated: Path) -> None:
    args = ("--args", '{"timeframe": "1h"}')
    document("jobs", "enqueue", "score", "worked", *args)
    environment = {**os.environ, "GNOMON_HOME": str(evaluated)}
    command = [sys.executable, "-m", "gnomon.cli", "work", "--json"]
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while document("jobs", "show", "score:worked")["state"] != "done":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate(timeout=PATIENCE_S)
    finally:
        put_down(worker)
    assert json.loads(out) == {"executor_id": "worker-0", "stopped": True}
    assert "works on all queues" in err
    assert document("jobs", "show", "score:worked")["result"]["rows"] == 0
    assert document("work", "--queues", "nonsense", code=1)["error"] == "invalid"


def test_up_serves_works_and_ends_both_when_it_is_told(evaluated: Path) -> None:
    environment = {**os.environ, "GNOMON_HOME": str(evaluated)}
    port = free()
    command = [sys.executable, "-m", "gnomon.cli", "up", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        address = f"http://127.0.0.1:{port}/api/v1/jobs"
        with httpx.Client(timeout=PATIENCE_S) as asked:
            deadline = time.monotonic() + PATIENCE_S
            made = None
            while made is None and time.monotonic() < deadline:
                try:
                    made = asked.post(address, json={"kind": "digest", "key": "x"})
                except httpx.TransportError:
                    time.sleep(0.1)
            assert made is not None
            assert made.status_code == 202
            while asked.get(f"{address}/digest:x").json()["state"] != "done" and time.monotonic() < deadline:
                time.sleep(0.05)
            assert asked.get(f"{address}/digest:x").json()["state"] == "done"
        with socket.create_connection(("127.0.0.1", port), 60) as half:  # who never ends a question is not waited for
            half.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
            half.sendall(b"Content-Length: 9\r\n\r\n{")
            httpx.get(f"{address}/digest:x", timeout=PATIENCE_S)  # by now it has come
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
    finally:
        put_down(process)


def free() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_ingest_asks_the_source_of_the_settings_and_says_for_what(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.sources.binance.exchange import Exchange, ms
    from tests.sources.loopback import Loopback

    exchange = Exchange(ms("2026-02-10T12:34:56Z"), ms("2026-01-01"))
    asked = ("--timeframe", "1h", "--instruments", "BTCUSDT", "--from", "2026-02-01", "--to", "2026-02-03")
    with Loopback(exchange.routes | exchange.archive()) as provider:
        urls = {"binance": provider.url, "binance-dumps": provider.url}
        monkeypatch.setenv("GNOMON_SOURCES", ",".join(urls))
        monkeypatch.setenv("GNOMON_SOURCE_URLS", json.dumps(urls))
        (first,) = document("ingest", *asked)["series"]
        assert (first["source"], first["added"], first["error"]) == ("binance", 48, None)
        requests = len(provider.requests)
        (again,) = document("ingest", *asked)["series"]
        assert (again["asked"], again["added"], len(provider.requests)) == ([], 0, requests)
        dumps = document("ingest", *asked[:-1], "2026-02-04", "--source", "binance-dumps")["series"]
        assert [one["added"] for one in dumps if one["instrument"] == "binance:BTCUSDT"] == [24]
    assert list((home / "cache/binance").rglob("*.zip"))


def test_events_come_from_a_file_and_trades_need_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    week = "# zone: UTC\n# listed_ahead: 7d\n# on_time: yes\ntitle,currency,scheduled_at,forecast,actual\n"
    Path("week.csv").write_text(week + "CPI m/m,USD,2024-09-11 12:30,0.2%,0.3%\n")
    (first,) = document("ingest-events", "week.csv")["calendars"]
    assert (first["said"], first["added"], first["error"]) == (2, 2, None)
    (again,) = document("ingest-events", "week.csv")["calendars"]
    assert again["added"] == 0
    assert "gnomon.toml" in document("ingest-events", code=1)["hint"]
    monkeypatch.setenv("GNOMON_SOURCES", "yahoo")
    trades = ("ingest-trades", "--instruments", "BTCUSDT", "--from", "2026-01-01")
    assert document(*trades, code=1)["error"] == "not_found"
    monkeypatch.setenv("GNOMON_SOURCE_URLS", "{not json")
    assert "source_urls" in document("ingest", "--timeframe", "1h", code=1)["message"]


# --- weights ----------------------------------------------------------------------------------------------------------

FETCHED = ("config.json", "model.safetensors")


@pytest.fixture
def tiny_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny random checkpoints published as Kronos-mini and its tokenizer; the folder that holds them, as copied."""
    from dataclasses import replace

    import torch
    from tests.forecast.kronos.checkpoints import saved, tiny_model, tiny_tokenizer

    from gnomon.forecast import catalog
    from gnomon.forecast.kronos.config import PUBLISHED
    from gnomon.forecast.kronos.forecaster import KronosForecaster

    torch.set_num_threads(1)
    tokenizer, model = PUBLISHED["Kronos-Tokenizer-2k"], PUBLISHED["Kronos-mini"]
    for one, network in ((tokenizer, tiny_tokenizer()), (model, tiny_model())):
        made = saved(tmp_path / "copied" / one.name, network, one.name, tokenizer=one.tokenizer, context_bars=64)
        monkeypatch.setitem(PUBLISHED, one.name, replace(made, hf_id=one.hf_id, revision=one.revision))
    entry = catalog.entry("kronos-mini")
    tiny = KronosForecaster.published("kronos-mini", "Kronos-mini", samples=4, device="cpu")
    monkeypatch.setitem(catalog._BY_ID, "kronos-mini", replace(entry, forecaster=tiny))
    return tmp_path / "copied"


def weights(answer: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in answer["weights"]}


def test_weights_are_listed_with_what_is_here(home: Path, tiny_published: Path) -> None:
    listed = document("weights", "list")
    assert weights(listed) == dict.fromkeys(
        ("Kronos-Tokenizer-base", "Kronos-Tokenizer-2k", "Kronos-mini", "Kronos-small", "Kronos-base"), "absent"
    )
    assert document("weights") == listed
    fetched = document("weights", "fetch", "NeoQuasar/Kronos-mini", "--from", str(tiny_published))
    assert weights(fetched) == {"Kronos-Tokenizer-2k": "ok", "Kronos-mini": "ok"}
    now = {one["name"]: one for one in document("weights")["weights"]}
    assert [name for name, one in now.items() if one["state"] == "ok"] == ["Kronos-Tokenizer-2k", "Kronos-mini"]
    mini = now["Kronos-mini"]
    folder = home / "weights" / "Kronos-mini" / mini["revision"]
    assert mini["folder"] == str(folder)
    assert mini["bytes"] == sum((folder / name).stat().st_size for name in FETCHED)
    (folder / "model.safetensors").write_bytes(b"torn")
    assert weights(document("weights"))["Kronos-mini"] == "damaged"
    told = run("weights")
    assert "damaged" in told.stdout
    assert "model.safetensors: 4 bytes of SHA-256" in told.stderr


def test_weights_are_fetched_from_the_hub_that_the_environment_names(
    tiny_published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.forecast.kronos.hub_server import hub_server

    from gnomon.forecast.kronos.config import PUBLISHED

    with hub_server() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        refused = document("weights", "fetch", "Kronos-mini", code=1)
        assert refused["error"] == "not_found"
        for name in ("Kronos-Tokenizer-2k", "Kronos-mini"):
            hub.serve(PUBLISHED[name], tiny_published / name)
        assert weights(document("weights", "fetch", "Kronos-mini")) == {
            "Kronos-Tokenizer-2k": "ok",
            "Kronos-mini": "ok",
        }


def test_weights_of_no_published_name_or_of_other_bytes_are_refused(tiny_published: Path) -> None:
    assert document("weights", "fetch", "Kronos-mni", code=1)["error"] == "not_found"
    run("weights", "fetch", code=2)
    (tiny_published / "Kronos-mini" / "config.json").write_text("{}")
    answer = document("weights", "fetch", "Kronos-mini", "--from", str(tiny_published), code=1)
    assert answer["error"] == "invalid"
    assert "config.json" in answer["message"]
    assert weights(document("weights"))["Kronos-mini"] == "absent"


@pytest.mark.usefixtures("tiny_published")
def test_a_forecast_without_weights_says_how_to_fetch_them() -> None:
    run("import", "BTCUSDT-1h.csv")
    asked = ("forecast", "--timeframe", "1h", "--horizon", "3", "--as-of", "2024-02-03T10:20")
    told = run(*asked, "--forecasters", "kronos-mini", code=1)
    assert "failed kronos-mini: the weights of Kronos-mini are not on this machine" in told.stderr.replace(
        "Kronos-Tokenizer-2k", "Kronos-mini"
    )
    assert "hint: gnomon weights fetch Kronos-mini" in told.stderr.replace("Kronos-Tokenizer-2k", "Kronos-mini")
    assert document(*asked)["failed"] == [], "no default asks for it"


def test_a_forecast_of_fetched_weights_is_in_the_ledger(tiny_published: Path, home: Path) -> None:
    run("import", "BTCUSDT-1h.csv")
    run("weights", "fetch", "Kronos-mini", "--from", str(tiny_published))
    asked = ("forecast", "--timeframe", "1h", "--horizon", "3", "--forecasters", "kronos-mini", "--seed", "7")
    first = document(*asked, "--as-of", "2024-02-03T10:20")
    assert (first["issued"], first["failed"]) == (2, [])
    with sqlite3.connect(home / "gnomon.db") as raw:
        stored = raw.execute(
            "SELECT f.params, f.n_paths, f.seed, p.shape FROM forecasts f "
            "JOIN forecast_paths p ON p.forecast_id = f.id WHERE f.forecaster = 'kronos-mini'"
        ).fetchone()
    raw.close()
    params = json.loads(stored[0])
    assert stored[1:] == (4, 7, "[4,3]")
    assert params["hf_id"] == "NeoQuasar/Kronos-mini"
    assert set(params["corrections"]) == {"prices", "highs", "lows", "volumes", "amounts"}
    assert document("verify", "forecasts")["ok"] is True
    assert document(*asked, "--as-of", "2024-02-03T10:20")["existing"] == 2
