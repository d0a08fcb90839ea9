"""Commission: the rates of an account, as the venue tells them."""

from __future__ import annotations

from typing import Any, Final

from gnomon.exchange.rules import RATE_ONE, FeeAsset, Fees

Document = dict[str, Any]

RATE_OF_BIP: Final = RATE_ONE // 10_000
NO_RATE: Final = "0.00000000"
USUAL_ASSET: Final = "BNB"


def rate_text(rate: int) -> str:
    """Parts of 10^-8 as a decimal."""
    sign, whole = ("-", -rate) if rate < 0 else ("", rate)
    return f"{sign}{whole // RATE_ONE}.{whole % RATE_ONE:08d}"


def in_bips(rate: int) -> int:
    """Bips, rounded down: `makerCommission` of an account."""
    return rate // RATE_OF_BIP


def rates(fees: Fees) -> Document:
    """Standard rates, by role and by side: sides cost nothing of their own."""
    return {"maker": rate_text(fees.maker), "taker": rate_text(fees.taker), "buyer": NO_RATE, "seller": NO_RATE}


def no_rates() -> Document:
    return dict.fromkeys(("maker", "taker", "buyer", "seller"), NO_RATE)


def discount(fees: Fees) -> Document:
    """Of fees that a third asset pays."""
    has_discount = fees.asset is FeeAsset.OTHER
    return {
        "enabledForAccount": has_discount,
        "enabledForSymbol": has_discount,
        "discountAsset": fees.other or USUAL_ASSET,
        "discount": rate_text(fees.discount if has_discount else RATE_ONE),
    }


def of_order(fees: Fees) -> Document:
    """The rates that `order.test` computes."""
    none = {"maker": NO_RATE, "taker": NO_RATE}
    return {
        "standardCommissionForOrder": {"maker": rate_text(fees.maker), "taker": rate_text(fees.taker)},
        "specialCommissionForOrder": dict(none),
        "taxCommissionForOrder": dict(none),
        "discount": discount(fees),
    }
