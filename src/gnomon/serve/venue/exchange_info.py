"""exchangeInfo: the listings of a session as the venue publishes them, with the filters that it enforces and no other.

A bound that is switched off is published as one that nothing reaches: clients take a zero at its word.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from gnomon.exchange.listing import Filters, Listing
from gnomon.exchange.order import OrderType, SelfTrade
from gnomon.exchange.rules import RATE_ONE
from gnomon.serve.venue.decimals import Decimals
from gnomon.serve.venue.market_view import Market

RATE_LIMITS: Final = (
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6_000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000},
)

UNREACHED: Final = Decimal(9_000_000_000)
ORDER_TYPES: Final = tuple(one.name for one in OrderType)
STP_MODES: Final = tuple(one.name for one in SelfTrade)
STATUSES: Final = ("TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")
PERMISSIONS: Final = ("SPOT",)


def status_of(listing: Listing, now_ns: int) -> str:
    """TRADING, or BREAK while a market with hours is closed."""
    return "TRADING" if listing.hours is None or listing.hours.is_open(now_ns) else "BREAK"


def filters_of(listing: Listing, texts: Decimals) -> list[dict[str, Any]]:
    """As the exchange enforces them."""
    rules = listing.filters
    most_ticks, most_lots = int(UNREACHED / listing.tick), int(UNREACHED / listing.lot)
    most_lots -= most_lots % rules.step_lots
    most_units = int(UNREACHED.scaleb(listing.quote.scale))
    found: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": texts.price(rules.min_price_ticks),
            "maxPrice": texts.price(rules.max_price_ticks or most_ticks),
            "tickSize": texts.price(rules.step_ticks),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": texts.qty(rules.min_lots),
            "maxQty": texts.qty(rules.max_lots or most_lots),
            "stepSize": texts.qty(rules.step_lots),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": texts.zero_qty,
            "maxQty": texts.qty(rules.market_max_lots or rules.max_lots or most_lots),
            "stepSize": texts.zero_qty,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": texts.money(rules.min_notional_units),
            "applyMinToMarket": True,
            "maxNotional": texts.money(rules.max_notional_units or most_units),
            "applyMaxToMarket": True,
            "avgPriceMins": 0,
        },
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": rules.min_trailing_bips,
            "maxTrailingAboveDelta": rules.max_trailing_bips or 10_000,
            "minTrailingBelowDelta": rules.min_trailing_bips,
            "maxTrailingBelowDelta": rules.max_trailing_bips or 10_000,
        },
    ]
    if rules.has_bands:
        found.insert(1, _bands(rules))
    if rules.max_orders:
        found.append({"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.max_orders})
    if rules.max_stop_orders:
        found.append({"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": rules.max_stop_orders})
    return found


def _bands(rules: Filters) -> dict[str, Any]:
    """How far a limit price may lie from the average one."""
    bid_up, bid_down, ask_up, ask_down = map(_multiplier, (rules.bid_up, rules.bid_down, rules.ask_up, rules.ask_down))
    if rules.is_by_side:
        bands = {"bidMultiplierUp": bid_up, "bidMultiplierDown": bid_down, "askMultiplierUp": ask_up}
        bands |= {"askMultiplierDown": ask_down}
    else:
        bands = {"multiplierUp": bid_up, "multiplierDown": bid_down}
    name = "PERCENT_PRICE_BY_SIDE" if rules.is_by_side else "PERCENT_PRICE"
    return {"filterType": name, **bands, "avgPriceMins": rules.avg_price_mins}


def _multiplier(rate: int) -> str:
    return f"{(Decimal(rate) / RATE_ONE).normalize():f}"


def symbol_of(market: Market, now_ns: int, with_sets: bool = True, listing: Listing | None = None) -> dict[str, Any]:
    """One row of `symbols`. `listing` is the one whose filters hold by now, where that is another."""
    listing, texts = listing or market.listing, market.texts
    return {
        "symbol": market.symbol,
        "status": status_of(listing, now_ns),
        "baseAsset": listing.base.name,
        "baseAssetPrecision": texts.qty_places,
        "quoteAsset": listing.quote.name,
        "quotePrecision": texts.worth_places,
        "quoteAssetPrecision": texts.worth_places,
        "baseCommissionPrecision": texts.qty_places,
        "quoteCommissionPrecision": texts.worth_places,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters_of(listing, texts),
        "permissions": [],
        "permissionSets": [PERMISSIONS] if with_sets else [],
        "defaultSelfTradePreventionMode": SelfTrade.EXPIRE_MAKER.name,
        "allowedSelfTradePreventionModes": STP_MODES,
    }


def document(symbols: list[dict[str, Any]], now_ns: int) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": now_ns // 1_000_000,
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": symbols,
    }
