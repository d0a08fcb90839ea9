"""A turn: what happens to one admitted request between its checks and its answer, on REST and WebSocket API alike."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gnomon.serve.venue import codes
from gnomon.serve.venue.call import LATER, Call, Handler
from gnomon.serve.venue.gate import Barrier
from gnomon.serve.venue.keys import GatedCourse
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.routes import TRADE, Route

log = logging.getLogger(__name__)

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
    """One request. `counted` is how many unfilled orders it added; a subclass gives the answer its form. `n` is the
    wake that the answer is, to a concurrent bot."""

    __slots__ = ("counted", "course", "is_called", "is_done", "is_heard", "key", "n", "route", "wake")

    route: Route
    course: GatedCourse | None
    wake: str
    counted: int
    is_done: bool
    is_called: bool  # the handler was asked: what comes of it follows from the log of inputs
    is_heard: bool  # its barrier knows that it has come
    key: str  # `<n>-<k>`, as it was sent; `wake` is that of a request that has passed the checks
    n: int

    def enter(self, course: GatedCourse, params: Mapping[str, str]) -> int:
        """The request counts from here on; virtual now. -1003 when the limits are used up."""
        self.course = course
        self.key = params.get("wake", "")
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
        course = self.course
        assert course is not None
        if handler is None:
            raise codes.not_supported()
        if wake and is_signed:
            if course.gate.answers.repeat(wake, lambda *found: self._give_again(wake, *found)):
                return
            self.wake = wake
            barrier = self._barrier
            if barrier is not None and barrier.comes_early(wake, lambda: self._run_late(handler, params, cancel)):
                return
        self._ask(handler, params, is_signed, cancel)

    def _run_late(self, handler: Handler, params: Mapping[str, str], cancel: Handler | None) -> None:
        """Behind the requests that come before it in its wake: whoever brought the last of them is not to suffer."""
        try:
            self._ask(handler, params, True, cancel)
        except VenueRefusal as refusal:
            self.reply(None, refusal)
        except Exception:
            log.exception("a request that had waited failed")
            self.reply(None, codes.unknown_error())

    def _ask(self, handler: Handler, params: Mapping[str, str], is_signed: bool, cancel: Handler | None) -> None:
        course, route = self.course, self.route
        assert course is not None
        if route.orders:
            try:
                course.gate.limits.admit_orders(course.now_ns, route.orders)
            except VenueRefusal as full:
                if cancel is None or params.get("orderRateLimitExceededMode") != "CANCEL_ONLY":
                    raise
                self._cancel_alone(cancel, params, full)
                return
            self.counted = route.orders
        self.is_called = True
        value = handler(Call(route.method, params, course, self.reply, is_signed))
        if value is not LATER:
            self.reply(value, None)
        elif (barrier := self._barrier) is not None:
            self._hear(barrier)

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

        self.is_called = True
        given = {to: params[of] for of, to in CANCEL_HALF.items() if of in params}
        try:
            value = cancel(Call("order.cancel", given, self.course, done, True))
        except VenueRefusal as refusal:
            done(None, refusal)
            return
        if value is not LATER:
            done(value, None)
        elif (barrier := self._barrier) is not None:
            self._hear(barrier)

    @property
    def _barrier(self) -> Barrier | None:
        """Of a concurrent bot, for a request that may send something: its answer is a wake."""
        course = self.course
        return course.gate.barrier if course is not None and self.route.security is TRADE else None

    def _hear(self, barrier: Barrier) -> None:
        if not self.is_heard:
            self.is_heard = True
            barrier.heard()

    def reply(self, value: Any, refusal: VenueRefusal | None) -> None:
        """The answer; a second one is not heard."""
        if self.is_done or self._is_refused_again():
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
            if (barrier := self._barrier) is not None:
                if not self.is_called and refusal is not None:
                    self.wake = self.key
                    barrier.refuse(self.key, refusal)
                barrier.deliver(lambda n: self._tell(n, value, refusal))
                self._hear(barrier)
                return
            if self.wake:
                gate.answers.keep(self.wake, value, refusal)
        self.give(value, refusal)

    def _is_refused_again(self) -> bool:
        """Whether a concurrent bot repeats what the door itself has refused: then it gets that answer again."""
        course = self.course
        if course is None or self.wake or not self.key or self._barrier is None:
            return False
        return course.gate.answers.repeat(self.key, lambda *found: self._give_again(self.key, *found))

    def _tell(self, n: int, value: Any, refusal: VenueRefusal | None) -> None:
        """The answer as wake `n` of its bot."""
        assert self.course is not None
        self.n = n
        if self.wake:
            self.course.gate.answers.keep(self.wake, value, refusal, n)
        self.give(value, refusal)

    def _give_again(self, wake: str, value: Any, refusal: VenueRefusal | None) -> None:
        assert self.course is not None
        if not self.is_done:
            self.is_done = True
            self.course.gate.waiting.pop(self, None)
            self.n = self.course.gate.answers.number(wake)
            self.give(value, refusal)

    @abstractmethod
    def give(self, value: Any, refusal: VenueRefusal | None) -> None:
        """Write the answer, or the refusal."""


def _shown(value: Any) -> Any:
    """An answer inside another one; bytes are JSON already."""
    return orjson.Fragment(value) if isinstance(value, bytes) else value
