"""What a runtime of ours asks beyond Binance's methods: `sim.view`, what its desk sees; `sim.send`, a request in the
exchange's own words. Both are of the WebSocket API, signed, and of bots whose tier is native."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from gnomon.errors import GnomonError
from gnomon.exchange.outcome import Outcome, Rejected
from gnomon.exchange.prints import Prints
from gnomon.replay.run import RunPlan, desk_plan
from gnomon.replay.view import DepthView
from gnomon.serve.venue.asked import asked_of
from gnomon.serve.venue.call import LATER, Call, Handler
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.symbols import Symbols
from gnomon.trader.pulse import native


def view(call: Call) -> Any:
    """What the desk of the bot would be answered, as of virtual now."""
    course: Any = call.course
    run = course.run
    if call.params.get("what") == "forecast" and not course.is_reliving:  # the record says which ones were read
        course.log.write("call", course.now_ns, call.method, dict(call.params))
    try:
        return native.answer(run.view, run.news, run.depth, course.now_ns, call.params)
    except GnomonError as error:
        raise VenueRefusal(-1130, error.message, data=error.document()) from None
    except (KeyError, ValueError) as error:
        raise VenueRefusal(-1130, f"Data sent for parameter '{error}' is not valid.") from None


def send(call: Call) -> Any:
    """A request as the exchange has it; `clients` are the texts of the client ids that it brings along."""
    course: Any = call.course
    try:
        request = native.request_of(orjson.loads(call.params.get("request", "null")))
        clients = [str(one) for one in orjson.loads(call.params.get("clients", "[]"))]
    except GnomonError as error:
        raise VenueRefusal(-1130, error.message) from None
    except orjson.JSONDecodeError:
        raise VenueRefusal(-1130, "Data sent for parameter 'request' is not valid.") from None
    for text in clients:
        course.client(text)
    course.account.expect(course.next_request, asked_of(request, clients))

    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0] if outcomes else None
        if type(first) is Rejected:
            data = {"refusal": int(first.refusal), "received": str(first.received), "limit": str(first.limit)}
            call.reply(None, VenueRefusal(-2010, first.refusal.name, data=data))
        else:
            call.reply({"t": str(at_ns)}, None)

    course.send(request, then)
    return LATER


def plan_document(course: BotCourse, symbols: Symbols, ahead: int = 0) -> dict[str, Any]:
    """`GET /sim/v1/plan`: what a desk has to know of its session before anything happens."""
    plan: RunPlan = course.plan
    ground, feed = plan.ground, plan.rules.latency.feed
    facts = native.SessionFacts(
        desk_plan(plan),
        tuple(symbols.symbol(one.number) for one in ground.listings),
        tuple(isinstance(one.tape, Prints) for one in ground.tapes),
        feed_ns=-1 if feed.table is not None else feed.const_ns,
        warmup_bars=plan.warmup_bars,
        are_bars_whole=all(one.tape is one.bars for one in ground.tapes),
        has_view=True,
        has_news=ground.archive is not None or plan.compute is not None,
        has_depth=DepthView.of(ground, 0) is not None,
        has_outcomes=course.tells_outcomes is not None,
        run=course.run_id,
        ahead=ahead,
    )
    return native.plan_document(facts)


VIEWS: Final[dict[str, Handler]] = {native.VIEW: view}
SENDS: Final[dict[str, Handler]] = {native.SEND: send}
