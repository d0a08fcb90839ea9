"""Pulse in a process of its own, in lock-step over a socket, while nearly everything goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.clients.scene import DATASET, Venue

SESSION = f"""
[session]
dataset = "{DATASET}"
from = "2024-03-01T02:00:00Z"
to = "2024-03-01T04:00:00Z"
timeframe = "1m"
seed = 7
pace = "lockstep"

[rules]
fees = {{ maker = "0.001", taker = "0.001" }}
balances = {{ USDT = "100000", BTC = "1" }}

[rules.faults]
exposure = "130000"
entry = [
  {{ fault = "unknown_status", when = {{ every_nth = 5 }}, for = {{ method = "order.place" }} }},
  {{ fault = "late_ack", when = {{ every_nth = 7 }} }},
  {{ fault = "fill_first", when = {{ every_nth = 2 }} }},
  {{ fault = "duplicate_report", when = {{ every_nth = 2 }} }},
  {{ fault = "gap", when = {{ at = "+30m" }}, params = {{ seconds = 240 }} }},
  {{ fault = "rate_limit", when = {{ request_no = 9 }} }},
  {{ fault = "clock_skew", when = {{ at = "+40m" }}, params = {{ seconds = 1800 }} }},
  {{ fault = "stale", when = {{ at = "+60m" }}, params = {{ seconds = 1200 }} }},
  {{ fault = "connection_end", when = {{ at = "+85m" }} }},
  {{ fault = "shutdown_notice", when = {{ at = "+90m" }}, params = {{ seconds = 90 }} }},
  {{ fault = "slow_response", when = {{ every_nth = 4 }} }},
]

[[entry]]
name = "pulse"
trader = "wire"
"""
PULSE = """
strategy_name = "ema_cross"

[strategy]
fast_period = 2
slow_period = 4
quantity = "0.01"

[run]
base_url = "{base_url}"
ws_url = "{ws_url}"
symbol = "BTCUSDT"
stream_mode = "kline"
interval = "1m"
api_key = "{api_key}"
api_secret = "{api_secret}"
health_port = 0
"""


def ran(venue: Venue) -> dict[str, Any]:
    """One session from its creation to the end of its run: the run's row."""
    spec = venue.home / "faulty.toml"
    spec.write_text(SESSION)
    made = venue.verb("session", "create", str(spec))
    venue.verb("session", "launch", made["id"])
    config = venue.home / "pulse.toml"
    config.write_text(PULSE.format(**made, **made["bots"][0]))
    command = [sys.executable, "-m", "gnomon.cli", "pulse", "run", "--config", str(config), "--json"]
    done = subprocess.run(command, env=venue.environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(done.stdout)["run"]
    return next(one for one in venue.verb("runs")["runs"] if one["id"] == run)


@pytest.mark.slow
def test_pulse_bears_what_goes_wrong_and_its_run_repeats_to_the_byte(venue: Venue) -> None:
    once, twice = ran(venue), ran(venue)
    assert once["digests"] == twice["digests"]
    assert venue.verb("verify", once["id"])["outcome"] == "VERIFIED"
    found = venue.verb("explain", once["id"], "faults")
    assert found["is_borne"], found
    assert len({one["fault"] for one in found["verdicts"]}) == 11
    assert once["counts"]["fills"] > 10
