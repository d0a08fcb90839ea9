"""Environments of clients: found again, named after their pins, and honest about why one is not there."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from tests.clients import environments

CLIENTS = sorted(path.stem for path in environments.REQUIREMENTS.glob("*.txt"))


@pytest.mark.parametrize("client", CLIENTS)
def test_every_requirement_is_pinned(client: str) -> None:
    lines = (environments.REQUIREMENTS / f"{client}.txt").read_text().splitlines()
    wanted = [line for line in lines if not line.startswith("#")]
    assert wanted
    assert all("==" in line.split(";")[0] for line in wanted)
    assert any(line.startswith(f"{client}==") for line in wanted)


def test_a_change_of_a_pin_is_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    (tmp_path / "ccxt.txt").write_text("ccxt==4.5.90\n")
    one = environments.fingerprint("ccxt")
    (tmp_path / "ccxt.txt").write_text("ccxt==4.5.91\n")
    assert environments.fingerprint("ccxt") != one


def test_an_unreachable_registry_skips_and_a_wrong_pin_fails() -> None:
    with pytest.raises(pytest.skip.Exception, match="out of reach"):
        environments.refuse("ccxt", "error: Request failed\n  Caused by: dns error: failed to lookup address\n")
    with pytest.raises(pytest.fail.Exception, match="as pinned"):
        environments.refuse("ccxt", "ERROR: No matching distribution found for ccxt==0.0.1")


def test_a_large_client_is_not_fetched_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_TEST_ENVS", str(tmp_path))
    monkeypatch.delenv("GNOMON_TEST_LARGE_CLIENTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="half a gigabyte"):
        environments.client_python("freqtrade")


def test_an_environment_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_TEST_ENVS", str(tmp_path))
    folder = tmp_path / f"freqtrade-{environments.fingerprint('freqtrade')}"
    folder.mkdir()
    (folder / ".ready").touch()
    assert environments.client_python("freqtrade") == folder / "bin" / "python"


def test_who_waits_for_an_environment_of_another_waits_for_an_end(tmp_path: Path) -> None:
    order: list[str] = []

    def other() -> None:
        with environments.held(tmp_path / "ccxt", 60):
            order.append("other")

    waiting = threading.Thread(target=other)
    with environments.held(tmp_path / "ccxt", 60):
        waiting.start()
        with (
            pytest.raises(AssertionError, match=r"holds .*ccxt\.lock"),
            environments.held(tmp_path / "ccxt", 0),
        ):
            pass
        order.append("first")
    waiting.join(60)
    assert order == ["first", "other"]


def test_an_installation_that_hangs_is_ended_and_counts_as_out_of_reach() -> None:
    code, said = environments.answer([sys.executable, "-c", "import time; time.sleep(600)"], 0.2)
    assert code
    with pytest.raises(pytest.skip.Exception, match="out of reach"):
        environments.refuse("ccxt", said)
