"""Whose series it is."""

from __future__ import annotations

import numpy as np
import pytest

from gnomon.clock import parse_instant
from gnomon.errors import Invalid, NotFound
from gnomon.market.instrument import Instruments
from gnomon.sources.files.identity import Identity, identify
from gnomon.sources.files.stamps import Stamps
from gnomon.sources.files.table import Name
from gnomon.units import DAY_NS, HOUR_NS, Grid

MONDAY = parse_instant("2024-01-01")


def _stamps(step_ns: int = DAY_NS, count: int = 5) -> Stamps:
    return Stamps(MONDAY + np.arange(count, dtype=np.int64) * step_ns, None, np.ones(count, np.bool_))


def _who(name: Name, instruments: Instruments, override: str | None = None, stamps: Stamps | None = None) -> Identity:
    return identify(name, stamps or _stamps(), instruments, override, "file.csv")


def test_any_name_of_a_configured_instrument_resolves_to_it(instruments: Instruments) -> None:
    for spelled in ("BTCUSDT", "btcusdt", "BTC-USD", "binance:BTCUSDT"):
        assert _who(Name((spelled,)), instruments).id == "binance:BTCUSDT"
    identity = _who(Name(("BTCUSDT",)), instruments)
    assert identity.grids == (Grid.of("0.01"), Grid.of("0.00001"))
    assert identity.note == ""


def test_a_venue_that_the_format_names_must_be_that_of_the_instrument(instruments: Instruments) -> None:
    assert _who(Name(("AAPL",), "us"), instruments).own is not None
    assert _who(Name(("BTCUSDT",), "binance", asset_class="crypto"), instruments).own is not None
    barrick = _who(Name(("GOLD",), "us", asset_class="equity"), instruments)  # a share, not the metal
    assert (barrick.id, barrick.own, barrick.calendar) == ("us:GOLD", None, "nyse")


def test_an_override_is_a_known_name_or_a_venue_and_a_symbol(instruments: Instruments) -> None:
    assert _who(Name(("X",)), instruments, "EURUSD=X").id == "fx:EURUSD"
    assert _who(Name(("X",)), instruments, "kraken:xbtusd").id == "kraken:XBTUSD"
    assert _who(Name(), instruments, "XSHG:600977").calendar == "XSHG"
    with pytest.raises(NotFound, match="no instrument 'BTCUSD7'") as caught:
        _who(Name(), instruments, "BTCUSD7")
    assert "BTCUSDT" in caught.value.hint


def test_without_a_name_the_caller_is_asked(instruments: Instruments) -> None:
    with pytest.raises(Invalid, match=r"file\.csv: nothing in it or in its name says which instrument") as caught:
        _who(Name(), instruments)
    assert "--instrument" in caught.value.hint


@pytest.mark.parametrize(
    ("symbol", "asset_class", "calendar"),
    [
        ("LINKUSDT", "crypto", "always"),
        ("BTC-PERP", "crypto", "always"),
        ("BTCUSD", "crypto", "always"),
        ("XRPETH", "crypto", "always"),
        ("NOKSEK", "fx_commodity", "fx"),
        ("XAUUSD", "fx_commodity", "fx"),
        ("GOOG", "equity", "nyse"),
    ],
)
def test_class_and_calendar_follow_from_the_symbol(
    symbol: str, asset_class: str, calendar: str, instruments: Instruments
) -> None:
    identity = _who(Name((symbol,)), instruments)
    assert (identity.id, identity.asset_class, identity.calendar) == (f"local:{symbol}", asset_class, calendar)
    assert f"taken as local:{symbol}, {asset_class}, calendar {calendar}" in identity.note


def test_rows_at_weekends_and_round_the_clock_speak_where_the_symbol_does_not(instruments: Instruments) -> None:
    assert _who(Name(("THING",)), instruments, stamps=_stamps(count=7)).calendar == "always"
    assert _who(Name(("THING",)), instruments, stamps=_stamps(HOUR_NS, 100)).calendar == "fx"
    assert _who(Name(("THING",)), instruments, stamps=_stamps(HOUR_NS, 8)).calendar == "nyse"


def test_a_new_instrument_takes_the_grids_of_its_rows(instruments: Instruments) -> None:
    identity = _who(Name(("LINKUSDT",)), instruments)
    made = identity.instrument(Grid.of("0.0001"), Grid.of("0.01"))
    assert (made.id, made.tick, made.lot, made.stamp_zone) == (
        "local:LINKUSDT",
        Grid.of("0.0001"),
        Grid.of("0.01"),
        "UTC",
    )


def test_one_met_only_by_an_import_lends_no_grid(instruments: Instruments) -> None:
    """Its grid came from whatever file was first: the hash of another file must not hang on that."""
    met = _who(Name(("LINKUSDT",)), instruments).instrument(Grid.of("0.0001"), Grid.of("0.01"))
    again = _who(Name(("LINKUSDT",)), instruments.with_added([met]))
    assert (again.own, again.grids) == (met, None)


def test_exchange_codes_bring_their_calendar_and_zone(instruments: Instruments) -> None:
    identity = _who(Name(("600977",), "XSHG"), instruments)
    assert (identity.id, identity.stamp_zone) == ("XSHG:600977", "Asia/Shanghai")
    with pytest.raises(NotFound, match="no calendar"):
        _who(Name(("600977",), "XQQQ"), instruments)
