"""Needs: what a class says it must have, checked before a run exists; and the plan that the run then has."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gnomon.clock import iso
from gnomon.errors import Invalid, Unavailable
from gnomon.exchange.prints import Prints
from gnomon.replay.ground import Ground
from gnomon.replay.wire import refuse_unknown
from gnomon.trader.trader import FEEDS

if TYPE_CHECKING:
    from gnomon.replay.run import RunPlan


def ready(plan: RunPlan, trader: Any) -> RunPlan:
    """The plan with what its trader's class asks for: the longer warm-up, the forecasters that it is told of.

    `Unavailable` for a feed that the ground does not have, `NotFound` for a forecaster, `Invalid` for a warm-up that
    the window does not hold.
    """
    required = tuple(trader.required()) if hasattr(trader, "required") else ()
    names = tuple(dict.fromkeys(name for name in required if name not in FEEDS))
    for feed in required:
        if feed in FEEDS:
            _check_feed(feed, plan.ground)
    warmup = max(plan.warmup_bars, getattr(trader, "warmup", 0))
    if plan.compute is not None:
        for name in names:
            if name not in plan.compute.forecasters:
                refuse_unknown(name, tuple(plan.compute.forecasters))
        plan = replace(plan, compute=replace(plan.compute, names=names))
    elif names:
        _check_forecasters(names, plan.ground)
    plan = plan if warmup == plan.warmup_bars else replace(plan, warmup_bars=warmup)
    quiet_until(plan)
    return plan


def as_recorded(plan: RunPlan, config: str) -> RunPlan:
    """The plan with what a Record's configuration says that its trader's class asked for."""
    document = json.loads(config)
    plan = replace(plan, warmup_bars=document["warmup_bars"])
    if plan.compute is None or "forecasts" not in document:
        return plan
    return replace(plan, compute=replace(plan.compute, names=tuple(document["forecasts"]["names"])))


def quiet_until(plan: RunPlan) -> int:
    """The first instant at which `warmup_bars` bars of every instrument can be read; 0 where that is the start.

    `Invalid` where the window ends before.
    """
    if not plan.warmup_bars:
        return 0
    feed_ns = plan.rules.latency.feed.slowest_ns
    found = 0
    for one in plan.ground.tapes:
        closes = one.bars.close_ns
        at_ns = closes.item(plan.warmup_bars - 1) + feed_ns if len(closes) >= plan.warmup_bars else plan.end_ns
        if at_ns >= plan.end_ns:
            raise Invalid(
                f"a warm-up of {plan.warmup_bars} bars, {one.listing.id} has {len(closes)} of {plan.ground.timeframe} "
                f"before {iso(plan.end_ns)}",
                hint="a longer window, more history before it, or a smaller warm-up",
            )
        found = max(found, at_ns)
    return found if found > plan.start_ns else 0


def _check_feed(feed: str, ground: Ground) -> None:
    lacking = {
        "trades": ", ".join(one.listing.id for one in ground.tapes if not isinstance(one.tape, Prints)),
        "quotes": ", ".join(one.id for one in ground.listings if one.number not in ground.quotes),
        "calendar": "" if ground.archive is not None and ground.archive.events is not None else "this session",
        "book": ", ".join(
            one.listing.id for one in ground.tapes if one.recorded is None or one.recorded.ladder is None
        ),
        "news": "this session",
    }[feed]
    if lacking:
        hints = {
            "trades": "import prints, or run a strategy that needs bars alone",
            "quotes": "import recorded quotes",
            "book": "import recorded depth",
            "calendar": "`gnomon ingest-events` brings one",
        }
        raise Unavailable(
            f"the trader needs {feed}, which {lacking} does not have",
            hint=hints.get(feed, "no replay has them yet: take it out of needs"),
            detail={"needs": feed},
        )


def _check_forecasters(names: tuple[str, ...], ground: Ground) -> None:
    archive = ground.archive
    for name in names:
        if archive is None or not archive.stated:
            raise Unavailable(
                f"the trader needs forecasts of {name!r}, and none is stored for this window",
                hint='issue them, or replay with forecasts = "compute" in [session]',
                detail={"needs": name},
            )
        if name not in archive.names:
            refuse_unknown(name, archive.names)
