"""Daily digests: what they pin, and that they are written once."""

from __future__ import annotations

from types import SimpleNamespace

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
    assert digests.check() == []
    assert yesterday_of(NOON + DAY_NS) == DAY


def test_a_digest_that_the_ledger_contradicts_is_found(engine: Engine, make: SimpleNamespace) -> None:
    issue(engine, make, 0, NOON)
    row = {"day": DAY, "lane": "live", "first_seq": 1, "last_seq": 1, "head": "f" * 64, "signature": None}
    with writing(engine) as connection:
        connection.execute(insert(ledger_digests).values(**row))
    (problem,) = DigestStore(engine).check()
    assert DAY in problem
