"""Listings of a run: instruments as the venue trades them, in the grids of their series, every asset at one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from gnomon.errors import Invalid, NotFound
from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.market.calendar import Hours
from gnomon.market.instrument import Instrument
from gnomon.replay.session import BOUNDS, Bound
from gnomon.units import INT64_MAX, MONEY_DECIMALS, Grid

QUOTES: Final = (
    "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USDP", "DAI", "USD", "EUR", "GBP", "JPY", "TRY", "BTC", "ETH", "BNB",
)  # fmt: skip
"""What a crypto symbol may end in, the longest first where one ends in another."""

SCALE_MAX: Final = 18

RATE_STEP: Final = Decimal("0.00000001")
"""What rates are counted in (`exchange.rules.RATE_ONE`)."""


@dataclass(frozen=True, slots=True)
class Traded:
    """An instrument and the grids that its rows lie on."""

    instrument: Instrument
    tick: Grid
    lot: Grid


def pair_of(instrument: Instrument) -> tuple[str, str]:
    """Base and quote. A share is paid in USD; `Invalid` where a crypto or fx symbol does not say what it is paid in."""
    symbol = instrument.symbol.upper().removesuffix("-PERP")
    for separator in ("/", "-", "_"):
        base, found, quote = symbol.partition(separator)
        if found and base and quote:
            return base, quote.partition(":")[0]
    if instrument.asset_class == "equity":
        return symbol, "USD"
    if instrument.asset_class == "fx_commodity":
        return (symbol[:3], symbol[3:]) if len(symbol) == 6 and symbol.isalpha() else (symbol, "USD")
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    raise Invalid(f"what is {instrument.id} paid in?", hint="name it BASE/QUOTE, e.g. BTC/USDT")


def listings(
    traded: Sequence[Traded],
    filters: Mapping[str, Filters] | None = None,
    hours: Mapping[str, Hours] | None = None,
    are_shorted: bool = False,
) -> tuple[Listing, ...]:
    """Numbered in order, with `filters` and trading `hours` by instrument; equities may be sold short where
    `are_shorted`.

    An asset's scale is 8 decimals, or as many as its smallest step needs (at most 18).
    """
    pairs = [pair_of(one.instrument) for one in traded]
    scales: dict[str, int] = {}
    for (base, quote), one in zip(pairs, traded, strict=True):
        for name, step in ((base, one.lot.step), (quote, one.tick.step * one.lot.step)):
            scales[name] = max(scales.get(name, MONEY_DECIMALS), _decimals(step))
    for name, scale in scales.items():
        if scale > SCALE_MAX:
            raise Invalid(f"{name} would need {scale} decimals", hint="import the series on coarser grids")
    chosen, opened = filters or {}, hours or {}
    return tuple(
        Listing(
            number,
            one.instrument.id,
            Asset(base, scales[base]),
            Asset(quote, scales[quote]),
            one.tick.step,
            one.lot.step,
            chosen.get(one.instrument.id, Filters()),
            may_short=are_shorted and one.instrument.asset_class == "equity",
            hours=opened.get(one.instrument.id),
        )
        for number, ((base, quote), one) in enumerate(zip(pairs, traded, strict=True))
    )


def bounded(listed: tuple[Listing, ...], bound: Bound) -> tuple[Listing, ...]:
    """The listings with a session's filters. `NotFound` for an instrument that it has not; `Invalid` off the grid."""
    wanted = bound.instrument.upper()
    chosen = {one.id for one in listed if wanted in ("", one.id.upper(), one.id.partition(":")[2].upper())}
    if not chosen:
        known = ", ".join(sorted(one.id for one in listed))
        raise NotFound(f"filters of {bound.instrument!r}", hint=f"the session has {known}")
    return tuple(
        replace(one, filters=replace(one.filters, **_units(one, bound.limits))) if one.id in chosen else one
        for one in listed
    )


def _units(listing: Listing, limits: Mapping[str, Decimal]) -> dict[str, int]:
    """Bounds in the listing's own units, by the names of `Filters`."""
    steps = {"price": listing.tick, "qty": listing.lot, "money": Decimal(1).scaleb(-listing.quote.scale)}
    steps["rate"] = RATE_STEP
    fields = {"price": "ticks", "qty": "lots", "money": "units"}
    found: dict[str, int] = {}
    for name, limit in limits.items():
        kind = BOUNDS[name]
        count, rest = divmod(limit, steps.get(kind, Decimal(1)))
        if rest or count > INT64_MAX:
            raise Invalid(f"{name} = {limit} of {listing.id}", hint=f"a multiple of {steps[kind]}")
        if kind == "rate":
            side, _, way = name.rpartition("multiplier_")
            found |= {f"{one}{way}": int(count) for one in ((side,) if side else ("bid_", "ask_"))}
            continue
        field = name if kind == "count" else f"{name.removesuffix('_qty')}_{fields[kind]}"
        found[field] = int(count)
    return found


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
