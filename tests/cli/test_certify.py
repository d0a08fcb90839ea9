"""Labels as a user earns and loses them: observed until verified, certified when the closed loop repeats, and no longer
than what was looked at is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.cli import test_replay
from tests.cli.test_replay import TRADER, document, run

home = test_replay.home  # with a market, a session and a trader, for every test

LUCKY = TRADER.replace("        name = bar", '        desk.note(str(hash("luck")))\n        name = bar')
UNSURE = TRADER.replace("        name = bar", "        raise ArithmeticError(bar.candle.close)\n        name = bar")


def label_of(name: str) -> Any:
    (row,) = [one for one in document("runs", "--limit", "1000")["runs"] if one["id"] == name]
    return row["label"]


def journal(folder: Path, name: str, ending: str = "journal") -> Path:
    return folder / "journals" / f"{name}.{ending}"


def test_a_run_is_observed_then_replayable_then_certified() -> None:
    made = document("replay", "session.toml")
    name = made["run"]
    assert made["label"] == label_of(name)
    assert label_of(name) == {"label": "observed", "reason": "not verified yet", "equal": 0, "repeats": 0}
    assert document("verify", name)["label"]["label"] == label_of(name)["label"] == "replayable"
    certified = document("certify", name)
    assert certified["label"] == label_of(name)
    assert [certified["label"][key] for key in ("label", "equal", "repeats")] == ["certified", 2, 2]
    assert certified["fingerprint"] == made["fingerprint"]
    assert (certified["differences"], certified["next"]) == ([], "")
    assert document("verify", name)["label"]["label"] == "certified", "verifying takes nothing away"
    shown = run("runs")
    assert "certified" in shown.stdout
    assert "certified, 2 of 2 equal: its closed loop gave the same four digests each time (in process)" in shown.stderr
    said = run("certify", name, "--repeats", "3").stderr
    assert "certified, 3 of 3 equal" in said
    assert made["fingerprint"] in said


def test_the_page_of_a_run_has_its_label_and_the_seal_its_fingerprint() -> None:
    made = document("replay", "session.toml", "--report", "observed.html")
    assert 'class="standing observed"' in Path("observed.html").read_text()
    for verb, word in (("verify", "replayable"), ("certify", "certified")):
        document(verb, made["run"])
        document("plot", made["run"], "--out", f"{word}.html")
        page = Path(f"{word}.html").read_text()
        assert f'class="standing {word}"' in page
        assert (f"</strong> <code>{made['fingerprint'][:12]}</code>" in page) == (word == "certified")
    document("replay", "session.toml", "--seed", "8")
    names = [one["id"] for one in document("runs")["runs"]]
    run("compare", *names, "--report", "both.html")
    both = Path("both.html").read_text()
    assert all(f"{word}, bar-modelled" in both for word in ("certified", "observed"))


def test_a_trader_that_decides_by_the_hash_of_a_text_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("trader.py").write_text(LUCKY)
    monkeypatch.setenv("PYTHONHASHSEED", "4242")
    made = document("replay", "session.toml")
    found = document("certify", made["run"], "--repeats", "3", code=1)
    assert found["label"]["label"] == label_of(made["run"])["label"] == "replayable"
    assert (found["label"]["equal"], found["label"]["repeats"]) == (1, 3)
    assert len(found["differences"]) == 2
    assert "the trader decided" in found["differences"][0]


def test_a_trader_that_was_changed_since_does_not_certify_its_runs() -> None:
    made = document("replay", "session.toml")
    document("certify", made["run"])
    Path("trader.py").write_text(TRADER.replace("pct=90", "pct=80"))
    found = document("certify", made["run"], code=1)
    assert found["label"] == label_of(made["run"])
    assert found["label"]["reason"] == "its closed loop, run again, gave other digests"
    Path("trader.py").unlink()
    assert "cannot be run again" in run("certify", made["run"], code=1).stderr


def test_a_trader_that_fails_always_fails_alike() -> None:
    Path("trader.py").write_text(UNSURE)
    made = document("replay", "session.toml", code=1)
    assert document("certify", made["run"])["label"]["label"] == "certified"


def test_a_branch_is_certified_as_the_branch_that_it_is() -> None:
    parent = document("replay", "session.toml")
    branch = document("replay", "--branch", parent["run"], "--at", "2024-01-08")
    assert document("certify", branch["run"])["label"]["equal"] == 2


def test_runs_of_a_sweep_are_certified_without_a_journal() -> None:
    (row, _) = document("sweep", "session.toml", "--param", "fast=5,7", "--workers", "1")["runs"]
    assert label_of(row["run"])["reason"] == "not verified yet"
    assert document("certify", row["run"])["label"] == label_of(row["run"])
    assert label_of(row["run"])["label"] == "certified"


def test_a_journal_that_is_written_to_costs_the_label_and_verifying_says_why(home: Path) -> None:
    name = document("replay", "session.toml")["run"]
    document("certify", name)
    path = journal(home, name)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert label_of(name) == {
        "label": "observed", "reason": "its journal was written to since it was checked", "equal": 0, "repeats": 0,
    }  # fmt: skip
    found = document("verify", name, code=1)
    assert found["label"] == label_of(name)
    assert "damaged" in found["label"]["reason"]
    assert "damaged" in document("certify", name, code=1)["label"]["reason"]
    path.write_bytes(whole)
    assert "damaged" in label_of(name)["reason"], "until it is looked at again"
    assert document("verify", name)["label"]["label"] == label_of(name)["label"] == "replayable"


def test_a_journal_that_is_gone_leaves_an_observed_run(home: Path) -> None:
    name = document("replay", "session.toml")["run"]
    document("certify", name)
    journal(home, name).unlink()
    assert label_of(name)["reason"] == "its journal is missing"
    assert document("verify", name, code=2)["outcome"] == "UNCHECKED"
    assert document("certify", name, code=2)["label"]["label"] == "observed"
    assert document("verify", "--all", code=2)["runs"][0]["label"]["reason"] == "its journal is missing"


def test_a_journal_of_another_run_is_not_taken_for_this_one(home: Path) -> None:
    """Same ground, same rules, another trader: whole and replayable, and not what was run."""
    mine = document("replay", "session.toml")
    other = document("replay", "session.toml", "--trader", "trader.py:Cross", "--param", "fast=9")
    assert mine["digests"]["config"] == other["digests"]["config"]
    document("certify", mine["run"])
    for ending in ("journal", "index"):
        shutil.copy(journal(home, other["run"], ending), journal(home, mine["run"], ending))
    found = document("verify", mine["run"], code=1)
    assert found["steps"] == [f"the record is of another run: its fingerprint is {other['fingerprint'][:12]}"]
    assert label_of(mine["run"])["label"] == "observed"


def test_verifying_from_a_snapshot_gives_no_label_but_can_cost_one(home: Path) -> None:
    name = document("replay", "session.toml", "--snapshots", "20")["run"]
    assert document("verify", name, "--from-snapshot")["label"]["label"] == "observed"
    document("verify", name)
    assert document("verify", name, "--from-snapshot")["label"]["label"] == "replayable"
    path = journal(home, name)
    path.write_bytes(path.read_bytes()[:-1])
    document("verify", name, "--from-snapshot", code=1)
    assert label_of(name)["label"] == "observed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--repeats", "1"), "1 repeats"),
        (("--command", "python bot.py"), "run again by itself"),
        (("--config", "trader.py"), "run again by itself"),
        (("--config", "absent.toml"), "no configuration absent.toml"),
        (("--config", "trader.py", "--command", "bot"), "both say what starts the bot"),
    ],
    ids=["once", "command", "config", "absent", "both"],
)
def test_what_makes_no_sense_is_refused_and_leaves_the_label(words: tuple[str, ...], told: str) -> None:
    name = document("replay", "session.toml")["run"]
    assert told in run("certify", name, *words, code=1).stderr
    assert label_of(name)["label"] == "observed"
