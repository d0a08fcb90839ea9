"""What was on the economic calendar at a cutoff: stored with each forecast, whether its forecaster reads it or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gnomon.clock import Timeframe
from gnomon.forecast.events import EventEncoder, Leaders, event_context
from gnomon.forecast.forecast import Context
from gnomon.market.candles import Basis
from gnomon.market.instrument import Instrument
from gnomon.store.store import Store
from gnomon.units import DAY_NS

LEADERS: Final = ("binance:BTCUSDT", "us:SPY", "fx:DXY")
VIX: Final = "us:VIX"
BEFORE_NS: Final = 2 * 366 * DAY_NS
"""How far before a context its calendar is read: twenty releases of a monthly figure."""

_ONE_DAY: Final = Timeframe.of_ns(DAY_NS)
_BASES: Final[tuple[Basis, ...]] = ("raw", "split", "adjusted")


def event_contexts(
    store: Store, contexts: Sequence[Context], instruments: Mapping[str, Instrument]
) -> dict[str, dict[str, Any]]:
    """The document of each context's instrument; none where no calendar is stored. Contexts are of one timeframe.

    Reads statements knowable by each row's own close and the leaders' bars as they were first known, and no more.
    """
    if not contexts:
        return {}
    first_ns = min(int(one.open_ns[0]) for one in contexts) - BEFORE_NS
    last_ns = max(int(one.target_close_ns[-1]) for one in contexts)
    book = store.events.book(first_ns=first_ns, last_ns=last_ns)
    if not book.statements:
        return {}
    timeframe = contexts[0].timeframe
    encoder = EventEncoder(book, _leaders(store, timeframe, max(one.data_cutoff_ns for one in contexts)))
    found = {}
    for one in contexts:
        instrument = instruments[one.instrument]
        found[one.instrument] = event_context(book, encoder.encode(one, instrument), one, instrument)
    return found


def _leaders(store: Store, timeframe: Timeframe, cutoff_ns: int) -> Leaders:
    keys = [(name, timeframe, basis) for name in LEADERS for basis in _BASES]
    keys += [(VIX, _ONE_DAY, basis) for basis in _BASES]
    return Leaders.of(store.market.tape(keys, last_ns=cutoff_ns, limit=4_096), timeframe)
