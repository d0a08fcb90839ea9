"""What a walk says, one JSON line a step. It runs in its client's own environment: nothing but Python's own here."""

from __future__ import annotations

import asyncio
import inspect
import json
import platform
import sys
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

GIVEN: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
"""http, ws (addresses without a path), key, secret, symbol, base, quote, and what a walk needs besides."""


def say(step: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"step": step, **facts}, default=str) + "\n")
    sys.stdout.flush()


def introduce(name: str, version: str) -> None:
    say("client", name=name, version=version, python=platform.python_version())


async def asked(answer: Any) -> Any:
    """An answer of a client, awaited where the client is one that must be."""
    return await answer if inspect.isawaitable(answer) else answer


async def refused(case: str, call: Callable[[], Any]) -> None:
    """Call, expect it refused, and say by which class of the client's errors and in which words."""
    try:
        answer = await asked(call())
    except Exception as error:
        names = [one.__name__ for one in type(error).__mro__ if issubclass(one, Exception)]
        code = getattr(error, "code", None)
        say("refused", case=case, error=names[0], bases=names, code=code, text=str(error))
    else:
        say("accepted", case=case, answer=answer)


def step_down(value: Any, step: Any) -> str:
    """The largest multiple of `step` that is not above `value`, as a plain decimal text."""
    step = Decimal(str(step))
    return format((Decimal(str(value)) / step).to_integral_value(ROUND_DOWN) * step, "f")


def filters(info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["filterType"]: one for one in info["filters"]}


def far_bid(info: dict[str, Any], last: Any) -> tuple[str, str]:
    """A price far below the market, and a quantity worth about ten times the least notional there."""
    by_type = filters(info)
    price = step_down(Decimal(str(last)) * Decimal("0.9"), by_type["PRICE_FILTER"]["tickSize"])
    least = (by_type.get("NOTIONAL") or by_type["MIN_NOTIONAL"])["minNotional"]
    lot = Decimal(by_type["LOT_SIZE"]["stepSize"])
    wanted = max(Decimal(least) * 10, Decimal(50)) / Decimal(price)
    return price, step_down(wanted + lot, lot)


class Heard:
    """The market events of one symbol and one's own, as they came: raw, in order of arrival."""

    def __init__(self) -> None:
        self.market: dict[str, list[dict[str, Any]]] = {}
        self.own: list[dict[str, Any]] = []
        self.other: list[dict[str, Any]] = []

    def take(self, message: Any) -> None:
        """Sort a message in by what it is, out of a combined stream's or a subscription's wrapper or as it is."""
        if not isinstance(message, dict):
            return
        message = message.get("data", message) if "stream" in message else message.get("event", message)
        kind = message.get("e") or ("bookTicker" if {"u", "b", "a", "B", "A"} <= set(message) else None)
        if kind in ("executionReport", "outboundAccountPosition", "balanceUpdate", "listStatus"):
            self.own.append(message)
        elif kind:
            self.market.setdefault(kind, []).append(message)
        else:
            self.other.append(message)

    def has_enough(self, bars: int, kinds: int = 1) -> bool:
        """Whether so many bars closed and so many kinds of streams were heard, and the two market orders have come to
        their ends."""
        if len(self.market) < kinds:
            return False
        closed = sum(1 for one in self.market.get("kline", []) if one["k"]["x"])
        filled = sum(1 for one in self.own if one.get("X") == "FILLED")
        return closed >= bars and filled >= 2 and self.own[-1]["e"] == "outboundAccountPosition"

    def say(self) -> None:
        for kind, events in sorted(self.market.items()):
            say("stream", kind=kind, events=events)
        say("own events", events=self.own)


async def until(is_true: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to become true, for so many seconds at most."""
    for _ in range(int(seconds * 50)):
        if is_true():
            return True
        await asyncio.sleep(0.02)
    return is_true()
