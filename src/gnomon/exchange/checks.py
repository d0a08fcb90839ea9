"""Checks of a request before anything is changed: the first failure wins.

Each answers with a refusal, the value received and the limit that it broke, or None.
"""

from __future__ import annotations

from typing import NamedTuple

from gnomon.exchange.book import Book, Counted
from gnomon.exchange.liquidity import Best
from gnomon.exchange.listing import Filters
from gnomon.exchange.order import PRICED_TYPES, STOP_TYPES, ListKind, OrderType, Place, PlaceList, Side, TimeInForce
from gnomon.exchange.outcome import QuoteKind, Refusal
from gnomon.exchange.rules import RATE_ONE
from gnomon.units import INT64_MAX


class Broken(NamedTuple):
    """The rule that a request breaks."""

    refusal: Refusal
    received: int = 0
    limit: int = 0


def combination(place: Place) -> Broken | None:
    """Type, time in force and fields must go together; every number an int64 that is not negative."""
    numbers = place.lots, place.price, place.stop, place.trailing_bips, place.quote_units
    for number in numbers:
        is_whole = number % 1 == 0  # neither a fraction, nor infinite, nor no number at all
        if not is_whole or not 0 <= number <= INT64_MAX:
            return Broken(Refusal.BAD_COMBINATION, int(min(max(number, -INT64_MAX), INT64_MAX)) if is_whole else 0)
    is_market, is_stop = place.type is OrderType.MARKET, place.type in STOP_TYPES
    sized = bool(place.lots) != bool(place.quote_units) if is_market else place.lots > 0 and not place.quote_units
    if not sized:
        return Broken(Refusal.LOT_SIZE if not place.quote_units else Refusal.BAD_COMBINATION, place.lots)
    if (place.price > 0) != (place.type in PRICED_TYPES):
        return Broken(Refusal.PRICE_FILTER if place.price == 0 else Refusal.BAD_COMBINATION, place.price)
    if is_stop != bool(place.stop or place.trailing_bips):
        return Broken(Refusal.BAD_COMBINATION, place.stop)
    is_plain = place.tif is TimeInForce.GTC
    takes_tif = place.type in (OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
    if not is_plain and not takes_tif:
        return Broken(Refusal.BAD_COMBINATION, int(place.tif))
    if place.tif is TimeInForce.GTX and place.type is not OrderType.LIMIT:
        return Broken(Refusal.BAD_COMBINATION, int(place.tif))
    return None


def is_plain(place: Place, book: Book, working: Counted) -> bool:
    """Whether it is an order of some lots, MARKET or LIMIT, that passes everything `combination`, `filters` and the
    check for a client id in use would ask; False says nothing."""
    _, _, kind, lots, price, tif, stop, trailing_bips, quote_units, _, client, _ = place
    if tif is not TimeInForce.GTC or stop or trailing_bips or quote_units or (client and working.has_client(client)):
        return False
    if kind is OrderType.MARKET:
        return not price and book.is_plain_market(lots, working)
    return kind is OrderType.LIMIT and price <= INT64_MAX and book.is_plain(price, lots, working)


def filters(place: Place, book: Book, open_orders: int, open_stops: int) -> Broken | None:
    """The filters of the listing, in the venues' order: price, its band, lots, notional, trailing, counts."""
    rules = book.listing.filters
    return (
        _price(place.price, rules)
        or _price(place.stop, rules)
        or _band(place, book)
        or _lots(place, rules)
        or _notional(place, book)
        or _trailing(place, rules)
        or _counts(place, rules, open_orders, open_stops)
    )


def _price(price: int, rules: Filters) -> Broken | None:
    if price and rules.min_price_ticks and price < rules.min_price_ticks:
        return Broken(Refusal.PRICE_FILTER, price, rules.min_price_ticks)
    if price and rules.max_price_ticks and price > rules.max_price_ticks:
        return Broken(Refusal.PRICE_FILTER, price, rules.max_price_ticks)
    if price % rules.step_ticks:
        return Broken(Refusal.PRICE_FILTER, price, rules.step_ticks)
    return None


def _band(place: Place, book: Book) -> Broken | None:
    """A limit price between so much below and so much above the average one."""
    rules = book.listing.filters
    if not place.price or not rules.has_bands:
        return None
    worth, lots = book.average(rules.avg_price_mins)
    if not lots:
        return None
    up, down = (rules.bid_up, rules.bid_down) if place.side is Side.BUY else (rules.ask_up, rules.ask_down)
    least, most = -(-worth * down // (lots * RATE_ONE)), worth * up // (lots * RATE_ONE)
    refusal = Refusal.PERCENT_PRICE_BY_SIDE if rules.is_by_side else Refusal.PERCENT_PRICE
    if up and place.price > most:
        return Broken(refusal, place.price, most)
    if down and place.price < least:
        return Broken(refusal, place.price, least)
    return None


def _lots(place: Place, rules: Filters) -> Broken | None:
    lots = place.lots
    if not lots:
        return None
    if lots < rules.min_lots:
        return Broken(Refusal.LOT_SIZE, lots, rules.min_lots)
    if rules.max_lots and lots > rules.max_lots:
        return Broken(Refusal.LOT_SIZE, lots, rules.max_lots)
    if rules.step_lots > 1 and lots % rules.step_lots:
        return Broken(Refusal.LOT_SIZE, lots, rules.step_lots)
    if place.type is OrderType.MARKET and rules.market_max_lots and lots > rules.market_max_lots:
        return Broken(Refusal.MARKET_LOT_SIZE, lots, rules.market_max_lots)
    return None


def _notional(place: Place, book: Book) -> Broken | None:
    rules = book.listing.filters
    if not (rules.min_notional_units or rules.max_notional_units):
        return None
    price = place.price or place.stop or book.last_price()
    worth = place.quote_units or book.listing.notional(price, place.lots)
    if rules.min_notional_units and worth < rules.min_notional_units:
        return Broken(Refusal.NOTIONAL, worth, rules.min_notional_units)
    if rules.max_notional_units and worth > rules.max_notional_units:
        return Broken(Refusal.NOTIONAL, worth, rules.max_notional_units)
    return None


def _trailing(place: Place, rules: Filters) -> Broken | None:
    bips = place.trailing_bips
    if bips and bips < rules.min_trailing_bips:
        return Broken(Refusal.TRAILING_DELTA, bips, rules.min_trailing_bips)
    if bips and rules.max_trailing_bips and bips > rules.max_trailing_bips:
        return Broken(Refusal.TRAILING_DELTA, bips, rules.max_trailing_bips)
    return None


def _counts(place: Place, rules: Filters, open_orders: int, open_stops: int) -> Broken | None:
    if rules.max_orders and open_orders >= rules.max_orders:
        return Broken(Refusal.MAX_ORDERS, open_orders + 1, rules.max_orders)
    if place.type in STOP_TYPES and rules.max_stop_orders and open_stops >= rules.max_stop_orders:
        return Broken(Refusal.MAX_STOP_ORDERS, open_stops + 1, rules.max_stop_orders)
    return None


def trigger(place: Place, book: Book) -> Broken | None:
    """A stop whose condition is met already."""
    last = book.last_price()
    if place.type not in STOP_TYPES or not place.stop or not last or place.trailing_bips:
        return None
    is_loss = place.type in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
    rises = is_loss == (place.side is Side.BUY)
    if last >= place.stop if rises else last <= place.stop:
        return Broken(Refusal.WOULD_TRIGGER, last, place.stop)
    return None


def would_take(side: Side, price: int, book: Book, time_ns: int) -> Broken | None:
    """Whether a limit at `price` meets the best opposite price as the taker rule sees it, own orders included."""
    best = book.liquidity.best(book.position, time_ns)
    if book.has_bars:
        best = Best(book.last_price(), book.last_price(), QuoteKind.BAR)
    if side is Side.BUY:
        asks = [one for one in (best.ask, book.asks[0].price if book.asks else 0) if one > 0]
        if asks and price >= min(asks):
            return Broken(Refusal.WOULD_TAKE, price, min(asks))
    else:
        bid = max(best.bid, book.bids[0].price if book.bids else 0)
        if bid > 0 and price <= bid:
            return Broken(Refusal.WOULD_TAKE, price, bid)
    return None


def sequence(request: PlaceList) -> Broken | None:
    """OTO, OTOCO: a working order that may rest, then one order or a pair, of one instrument, none by quote amount."""
    orders = request.orders
    if len(orders) != (2 if request.kind is ListKind.OTO else 3):
        return Broken(Refusal.BAD_COMBINATION, int(request.kind), len(orders))
    first, *rest = orders
    if first.type not in (OrderType.LIMIT, OrderType.LIMIT_MAKER) or first.tif not in (
        TimeInForce.GTC,
        TimeInForce.GTX,
    ):
        return Broken(Refusal.BAD_COMBINATION, int(first.type), int(first.tif))
    for place in rest:
        if place.instrument != first.instrument or place.quote_units:
            return Broken(Refusal.BAD_COMBINATION, place.instrument, first.instrument)
    return legs(*rest) if len(rest) == 2 else None


def legs(profit: Place, stop: Place) -> Broken | None:
    """OCO: one leg that takes a profit, one that stops a loss, of one side, quantity and instrument."""
    kinds = (OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
    losses = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
    if profit.type not in kinds or stop.type not in losses:
        return Broken(Refusal.BAD_COMBINATION, int(profit.type), int(stop.type))
    if profit.side is not stop.side or profit.lots != stop.lots or profit.instrument != stop.instrument:
        return Broken(Refusal.BAD_COMBINATION, profit.lots, stop.lots)
    return None


def list_prices(profit: Place, stop: Place, last: int) -> Broken | None:
    """OCO. SELL: the profit leg above the last price, the stop below; BUY mirrored. A leg that only trails is right."""
    for leg, is_above in ((profit, profit.side is Side.SELL), (stop, profit.side is Side.BUY)):
        price = leg.stop or (0 if leg.trailing_bips else leg.price)
        if last and price and (price <= last if is_above else price >= last):
            return Broken(Refusal.LIST_PRICES, price, last)
    return None
