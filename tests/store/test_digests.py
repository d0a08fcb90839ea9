"""Daily digests: what they pin, and that they are written once."""

from __future__ import annotations

from sqlalchemy import Engine, insert
from tests.store.conftest import entry_of

from gnomon.clock import parse_instant
from gnomon.store.digests import DigestStore, yesterday_of
from gnomon.store.engine import writing
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.tables import ledger_digests
from gnomon.units import DAY_NS, HOUR_NS

DAY = "2026-11-20"


def issue(engine: Engine, cutoff_ns: int, issued_ns: int) -> None:
    ForecastLedger(engine).issue([entry_of(cutoff_ns)], lane="live", issued_at_ns=issued_ns)


def test_a_digest_names_the_rows_of_its_day_and_is_written_once(engine: Engine) -> None:
    noon = parse_instant(f"{DAY}T12:00:00Z")
    for number in range(3):
        issue(engine, noon + number * HOUR_NS, noon + number * HOUR_NS)
    issue(engine, noon + DAY_NS, noon + DAY_NS)
    digests = DigestStore(engine)
    (one,) = digests.close_day(DAY)
    assert (one.lane, one.first_seq, one.last_seq) == ("live", 1, 3)
    assert digests.close_day(DAY) == [one]
    assert digests.all() == [one]
    assert digests.close_day("2026-11-19") == []
    assert digests.check() == []
    assert yesterday_of(noon + DAY_NS) == DAY


def test_a_digest_that_the_ledger_contradicts_is_found(engine: Engine) -> None:
    noon = parse_instant(f"{DAY}T12:00:00Z")
    issue(engine, noon, noon)
    row = {"day": DAY, "lane": "live", "first_seq": 1, "last_seq": 1, "head": "f" * 64, "signature": None}
    with writing(engine) as connection:
        connection.execute(insert(ledger_digests).values(**row))
    (problem,) = DigestStore(engine).check()
    assert DAY in problem
