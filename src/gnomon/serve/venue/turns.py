"""A turn: what happens to one admitted request between its checks and its answer, on REST and WebSocket API alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gnomon.serve.venue import codes
from gnomon.serve.venue.call import LATER, Call, Handler
from gnomon.serve.venue.keys import GatedCourse
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.routes import Route

NOT_ATTEMPTED: Final = (-2021, -2022)
"""A replacement that failed counts as an order all the same (section 5.2)."""


CANCEL_HALF: Final = {
    "symbol": "symbol",
    "cancelOrderId": "orderId",
    "cancelOrigClientOrderId": "origClientOrderId",
    "cancelNewClientOrderId": "newClientOrderId",
    "cancelRestrictions": "cancelRestrictions",
}
"""What a replacement says of the order that it cancels, and what a cancellation calls it."""


class Turn:
    """One request. `counted` is how many unfilled orders it added; a subclass gives the answer its form."""

    __slots__ = ("counted", "course", "is_done", "route", "wake")

    route: Route
    course: GatedCourse | None
    wake: str
    counted: int
    is_done: bool

    def enter(self, course: GatedCourse, params: Mapping[str, str]) -> int:
        """The request counts from here on; virtual now. -1003 when the limits are used up."""
        self.course = course
        gate = course.gate
        gate.requests += 1
        gate.waiting[self] = None
        now_ns = course.now_ns
        route = self.route
        gate.limits.spend(now_ns, route.weight if route.weigh is None else route.weigh(params))
        if gate.faults is not None:
            gate.faults.admit(route.method, now_ns, params.get("symbol", ""))
        return now_ns

    def run(
        self,
        handler: Handler | None,
        params: Mapping[str, str],
        is_signed: bool,
        wake: str,
        cancel: Handler | None = None,
    ) -> None:
        """Ask the handler, unless this wake key was answered before. Raises the refusal that ends the request.

        `cancel` is the handler of cancellations: a replacement over the limit of orders may want its first half alone.
        """
        course, route = self.course, self.route
        assert course is not None
        if handler is None:
            raise codes.not_supported()
        if wake and is_signed:
            if course.gate.answers.repeat(wake, self._give_again):
                return
            self.wake = wake
        if route.orders:
            try:
                course.gate.limits.admit_orders(course.now_ns, route.orders)
            except VenueRefusal as full:
                if cancel is None or params.get("orderRateLimitExceededMode") != "CANCEL_ONLY":
                    raise
                self._cancel_alone(cancel, params, full)
                return
            self.counted = route.orders
        value = handler(Call(route.method, params, course, self.reply, is_signed))
        if value is not LATER:
            self.reply(value, None)

    def _cancel_alone(self, cancel: Handler, params: Mapping[str, str], full: VenueRefusal) -> None:
        """The first half of a replacement whose second half is over the limit: 429 with what came of both."""
        assert self.course is not None

        def done(value: Any, refusal: VenueRefusal | None) -> None:
            is_cancelled = refusal is None
            data = {
                "cancelResult": "SUCCESS" if is_cancelled else "FAILURE",
                "newOrderResult": "FAILURE" if is_cancelled else "NOT_ATTEMPTED",
                "cancelResponse": _shown(value) if refusal is None else refusal.document(),
                "newOrderResponse": full.document() if is_cancelled else None,
            }
            told = codes.half_replaced(data) if is_cancelled else codes.not_replaced(data)
            told.status, told.retry_after_s = full.status, full.retry_after_s
            self.reply(None, told)

        given = {to: params[of] for of, to in CANCEL_HALF.items() if of in params}
        try:
            value = cancel(Call("order.cancel", given, self.course, done, True))
        except VenueRefusal as refusal:
            done(None, refusal)
            return
        if value is not LATER:
            done(value, None)

    def reply(self, value: Any, refusal: VenueRefusal | None) -> None:
        """The answer; a second one is not heard."""
        if self.is_done:
            return
        self.is_done = True
        course = self.course
        if course is not None:
            gate = course.gate
            gate.waiting.pop(self, None)
            if refusal is not None and self.counted and refusal.code not in NOT_ATTEMPTED:
                gate.limits.take_back(course.now_ns, self.counted)
                self.counted = 0
            if gate.faults is not None:  # what the client is told, whatever came of it
                value, refusal = gate.faults.answer(self.route.method, value, refusal, course.now_ns)
            if self.wake:
                gate.answers.keep(self.wake, value, refusal)
        self.give(value, refusal)

    def _give_again(self, value: Any, refusal: VenueRefusal | None) -> None:
        assert self.course is not None
        if not self.is_done:
            self.is_done = True
            self.course.gate.waiting.pop(self, None)
            self.give(value, refusal)

    @abstractmethod
    def give(self, value: Any, refusal: VenueRefusal | None) -> None:
        """Write the answer, or the refusal."""


def _shown(value: Any) -> Any:
    """An answer inside another one; bytes are JSON already."""
    return orjson.Fragment(value) if isinstance(value, bytes) else value
