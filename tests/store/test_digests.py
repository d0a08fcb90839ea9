"""Daily digests: what they pin, and that they are written once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, insert

from gnomon.clock import parse_instant
from gnomon.store.digests import DigestStore, yesterday_of
from gnomon.store.engine import writing
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.tables import ledger_digests
from gnomon.units import DAY_NS, HOUR_NS

DAY = "2026-11-20"


NOON = parse_instant(f"{DAY}T12:00:00Z")


def issue(engine: Engine, make: SimpleNamespace, number: int, issued_ns: int) -> None:
    ForecastLedger(engine).issue([make.entry(number)], lane="live", issued_at_ns=issued_ns)


def test_a_digest_names_the_rows_of_its_day_and_is_written_once(engine: Engine, make: SimpleNamespace) -> None:
    for number in range(3):
        issue(engine, make, number, NOON + number * HOUR_NS)
    issue(engine, make, 3, NOON + DAY_NS)
    digests = DigestStore(engine)
    (one,) = digests.close_day(DAY)
    assert (one.lane, one.first_seq, one.last_seq) == ("live", 1, 3)
    assert digests.close_day(DAY) == [one]
    assert digests.all() == [one]
    assert digests.close_day("2026-11-19") == []
    checked = digests.check()
    assert (checked.ok, checked.count, checked.broken) == (True, 1, ())
    assert checked.sentence() == "digests: 1, all as the ledger has it"
    assert yesterday_of(NOON + DAY_NS) == DAY


def test_a_digest_that_the_ledger_contradicts_is_found(engine: Engine, make: SimpleNamespace) -> None:
    issue(engine, make, 0, NOON)
    row = {"day": DAY, "lane": "live", "first_seq": 1, "last_seq": 1, "head": "f" * 64, "signature": None}
    with writing(engine) as connection:
        connection.execute(insert(ledger_digests).values(**row))
    checked = DigestStore(engine).check()
    assert [one.day for one in checked.broken] == [DAY]
    assert f"broken on {DAY}, live" in checked.sentence()


@pytest.mark.parametrize("change", ["head = 'x' || substr(head, 2)", "last_seq = last_seq + 1", "first_seq = 1"])
def test_the_first_day_whose_digest_was_altered_behind_the_store_is_named(
    engine: Engine, make: SimpleNamespace, change: str
) -> None:
    digests = DigestStore(engine)
    for number in range(5):  # two rows a day, then one
        issue(engine, make, number, NOON + number // 2 * DAY_NS)
    days = [yesterday_of(NOON + number * DAY_NS) for number in (1, 2, 3)]
    for day in days:
        assert digests.close_day(day)
    assert digests.check().ok
    with engine.begin() as connection:  # whoever owns the database can do this
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER ledger_digests_no_update")
        else:
            connection.exec_driver_sql("ALTER TABLE ledger_digests DISABLE TRIGGER ledger_digests_sealed")
        connection.exec_driver_sql(f"UPDATE ledger_digests SET {change} WHERE day >= '{days[1]}'")
    checked = digests.check()
    assert [one.day for one in checked.broken] == days[1:]
    assert (checked.row()["count"], checked.row()["ok"], checked.row()["broken"]["day"]) == (3, False, days[1])
    assert f"broken on {days[1]}, live" in checked.sentence()
    assert "(1 more)" in checked.sentence()


def test_one_walk_finds_what_a_look_at_each_day_finds(engine: Engine, make: SimpleNamespace) -> None:
    digests = DigestStore(engine)
    for number in range(6):
        lane = "live" if number % 2 else "backfill"
        ForecastLedger(engine).issue([make.entry(number)], lane=lane, issued_at_ns=NOON + number * DAY_NS // 2)
    written = [one for number in range(4) for one in digests.close_day(yesterday_of(NOON + number * DAY_NS))]
    assert len(written) == 5  # the last day is not over
    assert digests.check().count == 5
    assert digests.check().ok
