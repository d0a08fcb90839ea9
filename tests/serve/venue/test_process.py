"""A venue's process on ports of its own: each means the session that was given it, made before the process or after."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.clients.scene import DATASET, Venue, free_port

SPEC = f"""
[session]
dataset = "{DATASET}"
from = "2024-03-01T02:00:00Z"
to = "2024-03-01T03:00:00Z"
pace = 1
start_policy = "now"

[rules]
balances = {{ USDT = "1000" }}

[[entry]]
name = "bot"
"""


def symbols(url: str) -> list[str]:
    with urllib.request.urlopen(f"{url}/api/v3/exchangeInfo", timeout=10) as answer:
        return [one["symbol"] for one in json.load(answer)["symbols"]]


@pytest.mark.slow
def test_a_port_means_the_session_that_has_it_whenever_that_was_made(tmp_path: Path) -> None:
    venue = Venue(tmp_path)
    first = free_port()
    venue.environment["GNOMON_VENUE_PORTS"] = f"{first}-{first}"
    try:
        venue.open()
        (tmp_path / "session.toml").write_text(SPEC)
        made = venue.verb("session", "create", str(tmp_path / "session.toml"))
        assert made["base_url"] == f"http://127.0.0.1:{first}"
        with pytest.raises(urllib.error.HTTPError):
            symbols(made["base_url"])  # it is not live yet
        venue.verb("session", "launch", made["id"])
        assert symbols(made["base_url"]) == ["BTCUSDT"]
    finally:
        venue.close()
