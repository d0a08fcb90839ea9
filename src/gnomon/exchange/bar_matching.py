"""Matching on bars: the points of a candle meet the own orders, where a dataset has no prints.

`open_point` and `move_point` are told in their order for a candle that concerns an order; `take_open` serves one that
arrives in time to be in the market before its open.
"""

from __future__ import annotations

from gnomon.exchange.bars import POINTS, Act, Walk, capped, opposite, walk_through, worth_at_close
from gnomon.exchange.book import Book
from gnomon.exchange.liquidity import Best
from gnomon.exchange.order import Order, Side, Status, TimeInForce
from gnomon.exchange.outcome import FillFlag, QuoteKind, Refusal, Role, Rule, Triggered
from gnomon.exchange.rules import WHOLE, FillMoment, Fills, Resolve
from gnomon.exchange.working import Working


def is_in_time(book: Book, decided_ns: int, arrived_ns: int, fills: Fills) -> bool:
    """Whether an order is in the market before the open of the bar that it arrives in: decided by then, and arrived
    within the grace."""
    row = book.position - 1
    if row < 0:
        return False
    opens, closes = book.bars.open_ns.item(row), book.bars.close_ns.item(row)
    part, whole = fills.open_grace
    return decided_ns <= opens and arrived_ns <= opens + (closes - opens) * part // whole


def open_point(working: Working, book: Book, position: int, fills: Fills) -> None:
    """The open of a bar: waiting MARKET orders fill at it, then what the gap jumped over."""
    book.position = position + 1
    for order in list(book.waiting):
        if order.price:
            _take_open_or_end(working, book, order, fills)
        elif fills.moment is not FillMoment.NEXT_CLOSE:
            take_open(working, book, order, fills)
    walk = Walk(book.resting_orders(), fills)
    walk.gap(int(book.bars.open[position]), _left_at_open(book))
    _apply(working, book, walk, position, 0, 0)


def _take_open_or_end(working: Working, book: Book, order: Order, fills: Fills) -> None:
    """An IOC or FOK order that came while the market was closed: this open, and what it does not give expires."""
    is_whole = order.tif is not TimeInForce.FOK or open_cap(book, fills) >= order.remaining
    if is_marketable(book, order) and is_whole:
        take_open(working, book, order, fills)
    if order.number in working.orders:
        working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)


def is_marketable(book: Book, order: Order) -> bool:
    """Whether a limit meets the open of the bar at hand."""
    price = int(book.bars.open[book.position - 1])
    return price <= order.price if order.side is Side.BUY else price >= order.price


def take_last_close(working: Working, book: Book, order: Order, time_ns: int, fills: Fills) -> None:
    """At the close of the newest bar that is over: the price it was decided on, labelled optimistic in every report."""
    row = book.position - 1
    while row >= 0 and int(book.bars.close_ns[row]) > time_ns:
        row -= 1
    if row < 0:
        working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
    else:
        _take_close(working, book, order, row, fills)


def take_open(working: Working, book: Book, order: Order, fills: Fills) -> None:
    """A taker at the open of the bar at hand, as far as its volume goes. A MARKET order's remainder expires."""
    row = book.position - 1
    lots, price = _left_at_open(book), book.bars.open.item(row)
    cap = capped(lots, fills)
    slip = fills.slippage_ticks if order.side is Side.BUY else -fills.slippage_ticks
    paid = max(1, price + slip)
    if order.price:
        paid = min(paid, order.price) if order.side is Side.BUY else max(paid, order.price)
    take = min(order.remaining, cap)
    if take and _can_pay(working, book, order, paid, take):
        book.open_left = lots - (take if fills.share != WHOLE else 0)
        _fill(working, book, order, paid, take, Rule.BAR_OPEN, Role.TAKER, row, 0, 0)
    if order.number in working.orders and not order.price:
        working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)


def move_point(working: Working, book: Book, position: int, point: int, fills: Fills) -> None:
    """The price goes on to the next point (1 to 3) of the bar's path."""
    if point == 1 or book.path_of != position:
        _choose_path(working, book, position, fills)
    path, volumes = book.path, book.bars.volumes(position)
    walk = Walk(book.resting_orders(), fills)
    walk.move(path[point - 1], path[point], volumes[point])
    _apply(working, book, walk, position, point, book.path_flags)
    if point == POINTS - 1 and fills.moment is FillMoment.NEXT_CLOSE:
        for order in [one for one in book.waiting if not one.price]:
            _take_close(working, book, order, position, fills)


def _choose_path(working: Working, book: Book, position: int, fills: Fills) -> None:
    """The declared path, the worse one, or the one that finer rows show.

    A bar where the two paths differ in our fills is ambiguous, and counted unless finer rows say which it was.
    """
    path = book.bars.path(position, fills.path)
    orders, volumes = book.resting_orders(), book.bars.volumes(position)
    acts = walk_through(orders, path, volumes, fills, with_gap=False)
    others = walk_through(orders, opposite(path), volumes, fills, with_gap=False)
    is_ambiguous = _fills_of(acts) != _fills_of(others)
    if is_ambiguous and fills.resolve is Resolve.WORST:
        close = path[-1]
        if worth_at_close(others, working.orders, close) < worth_at_close(acts, working.orders, close):
            path = opposite(path)
    if is_ambiguous and fills.resolve is Resolve.FINER:
        seen = book.bars.seen_path(position)
        if seen is not None:
            path, is_ambiguous = seen, False
    book.path, book.path_of = path, position
    book.path_flags = int(FillFlag.AMBIGUOUS_BAR) if is_ambiguous else 0
    book.ambiguous_bars += is_ambiguous


def _fills_of(acts: list[Act]) -> list[tuple[int, int, int]]:
    return sorted((act.number, act.price, act.lots) for act in acts if act.lots)


def _apply(working: Working, book: Book, walk: Walk, position: int, point: int, flags: int) -> None:
    """Do to the orders what the walk did to their ghosts."""
    for act in walk.acts:
        order = working.orders.get(act.number)
        if order is None:
            continue
        if act.is_trigger:
            working.leave_list(order)
            order.is_waiting = False
            book.stops.remove(order)
            working.out.append(Triggered(order.number, position, act.price))
            if order.price:
                book.rest(order)
        elif act.role is Role.MAKER or _can_pay(working, book, order, act.price, act.lots):
            _fill(working, book, order, act.price, act.lots, act.rule, act.role, position, point, flags)
    for order in book.resting_orders():
        ghost = walk.ghosts.get(order.number)
        if ghost is not None:
            order.reference, order.is_reached = ghost.reference, ghost.is_reached
    for act in walk.acts:  # a triggered MARKET order that found too little
        order = working.orders.get(act.number)
        if order is not None and act.is_trigger and not order.price:
            working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
    book.moved()


def _take_close(working: Working, book: Book, order: Order, position: int, fills: Fills) -> None:
    price = int(book.bars.close[position])
    slip = fills.slippage_ticks if order.side is Side.BUY else -fills.slippage_ticks
    paid, lots = max(1, price + slip), book.bars.volumes(position)[-1]
    take = min(order.remaining, capped(lots, fills))
    if take and _can_pay(working, book, order, paid, take):
        _fill(working, book, order, paid, take, Rule.BAR_CLOSE, Role.TAKER, position, POINTS - 1, 0)
    if order.number in working.orders:
        working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)


def _can_pay(working: Working, book: Book, order: Order, price: int, lots: int) -> bool:
    """Whether the account can pay for a taker fill; the order ends where it cannot."""
    purse = book.purse
    need, free = purse.need_and_free(order.side, price, lots)
    short = need - order.lock
    if short > free:
        working.finish(order, Status.EXPIRED, Refusal.INSUFFICIENT_BALANCE)
        return False
    if short > 0 and order.lock:
        working.lock_more(order, short)
    return True


def open_cap(book: Book, fills: Fills) -> int:
    """Lots that may still be ours at the open of the bar at hand."""
    return capped(_left_at_open(book), fills)


def _left_at_open(book: Book) -> int:
    row = book.position - 1
    if book.open_of != row:
        book.open_left, book.open_of = book.bars.volumes(row)[0], row
    return book.open_left


def _fill(
    working: Working, book: Book, order: Order, price: int, lots: int, rule: Rule, role: Role, position: int,
    point: int, flags: int,
) -> None:  # fmt: skip
    """A fill at a point of a bar: `print` is the bar's position, `print_side` the point (0 open to 3 close)."""
    at = book.path[point] if book.path_of == position else book.bars.open.item(position)
    best = Best(at, at, QuoteKind.BAR, position)
    volume = book.bars.volumes(position)[point]
    working.fill(
        book, order, price, lots, rule, role, position, at, volume, point, 0, 0, 0, 0, 0, 0, best, flags
    )  # fmt: skip
