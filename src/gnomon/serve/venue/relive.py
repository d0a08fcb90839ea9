"""Relive: a run is brought to where it stood when its venue was killed, by what had come in (`inputs`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gnomon.serve.venue.call import LATER, Call, Handler
from gnomon.serve.venue.group import Group
from gnomon.serve.venue.place import Place
from gnomon.serve.venue.routes import METHODS
from gnomon.serve.venue.turns import NOT_ATTEMPTED


def relive(place: Place, group: Group, handlers: Mapping[str, Handler], logged: Sequence[Sequence[Any]]) -> None:
    """Every line of its log again, none of which is logged a second time."""
    place.course.is_reliving = True
    for line in logged:
        if line[0] == "call":
            _recall(place, group, handlers, *line[1:])
        elif line[0] == "clock":
            place.course.advance(int(line[1]))
            group.advance(int(line[1]))
        elif place.clock is not None:
            place.clock.replay(line)
    place.course.is_reliving = False
    if place.clock is not None:
        place.clock.relived()


def _recall(
    place: Place, group: Group, handlers: Mapping[str, Handler],
    now_ns: int, method: str, params: Mapping[str, str], weight: int = 0, raw: int = 0,
) -> None:  # fmt: skip
    """One call, with what stood in the windows of its limits. Its answer is kept for whoever asks with its wake key."""
    course, wake, limits = place.course, params.get("wake", ""), place.course.gate.limits
    answers, barrier = course.gate.answers, course.gate.barrier
    orders = METHODS[method].orders
    if place.clock is None:
        course.advance(now_ns)
        group.now_ns = max(group.now_ns, now_ns)
    else:
        place.clock.pass_until(now_ns)

    def keep(value: Any, refusal: Any) -> None:
        if refusal is not None and getattr(refusal, "code", 0) not in NOT_ATTEMPTED:
            limits.take_back(course.now_ns, orders)
        if course.faults is not None:
            value, refusal = course.faults.answer(method, value, refusal, course.now_ns)
        if barrier is not None:
            barrier.deliver(lambda n: answers.keep(wake, value, refusal, n) if wake else None)
        elif wake:
            answers.keep(wake, value, refusal)

    limits.recount(course.now_ns, orders, weight, raw)
    if wake:
        answers.repeat(wake, _nobody)  # it is under way: said again, it is no new order
    try:
        value = handlers[method](Call(method, params, course, keep, is_signed=True))
    except Exception as refusal:  # as the door would have told it
        keep(None, refusal)
    else:
        if value is not LATER:
            keep(value, None)
    if barrier is not None:
        barrier.heard()


def _nobody(_value: Any, _refusal: Any) -> None:
    """Whoever asked is gone with the process that was killed."""
