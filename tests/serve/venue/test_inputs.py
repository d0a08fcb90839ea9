"""The inputs of a live run: whole lines survive whatever kills the process."""

from __future__ import annotations

from pathlib import Path

from gnomon.serve.venue.inputs import InputLog, lines


def test_lines_come_back_as_they_were_written_until_the_log_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "run.inputs"
    log = InputLog(path)
    log.write("call", 1_700_000_000_000_000_000, "order.place", {"price": "1.50"})
    log.write("ack", 3, {"decisions": []})
    assert list(lines(path)) == [
        ["call", 1_700_000_000_000_000_000, "order.place", {"price": "1.50"}],
        ["ack", 3, {"decisions": []}],
    ]
    log.drop()
    assert not path.exists()
    assert list(lines(path)) == []


def test_a_line_that_a_kill_has_cut_is_not_read_and_the_next_is_written_behind_what_is_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.inputs"
    log = InputLog(path)
    log.write("ack", 1, {})
    log.close()
    with path.open("ab") as file:
        file.write(b'["ack",2,{"dec')
    assert list(lines(path)) == [["ack", 1, {}]]
    again = InputLog(path)
    again.write("ack", 2, {})
    assert list(lines(path)) == [["ack", 1, {}], ["ack", 2, {}]]


def test_a_log_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    InputLog(tmp_path / "run.inputs").write("ack", 1, {})
    assert (tmp_path / "run.inputs").stat().st_mode & 0o077 == 0
