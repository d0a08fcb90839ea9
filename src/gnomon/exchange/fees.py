"""Fees: a rate of what a fill is worth, truncated toward zero at the scale of the asset that pays."""

from __future__ import annotations

from gnomon.exchange.rules import RATE_ONE


def fee_units(amount_units: int, rate: int) -> int:
    """`amount * rate / 10^8`, truncated toward zero: never more than the rate says. Negative: a rebate."""
    product = amount_units * rate
    return product // RATE_ONE if product >= 0 else -(-product // RATE_ONE)


def reserve_units(amount_units: int, rate: int) -> int:
    """What must be set aside so that every fee of the amount, however it is cut into fills, can be paid: rounded up."""
    return -(-amount_units * rate // RATE_ONE) if rate > 0 else 0
