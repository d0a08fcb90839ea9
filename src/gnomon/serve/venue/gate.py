"""The door's own state of one course: its rule for timestamps, its limits, the answers that may be asked for again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Protocol

from gnomon.serve.venue import codes
from gnomon.serve.venue.faults import WireFaults
from gnomon.serve.venue.limits import Limits
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.stamps import StampRule

Reply = Callable[[Any, VenueRefusal | None], None]

MOST_ANSWERS: Final = 1_024
"""Wake keys remembered a course: a bot repeats a request after a lost connection, not a thousand requests later."""


class Barrier(Protocol):
    """The clock of a concurrent bot, as the door sees it (`serve.venue.lockstep`)."""

    def heard(self) -> None:
        """A request that may send something has come."""
        ...

    def comes_early(self, wake: str, take: Callable[[], None]) -> bool:
        """Whether the key of a request says that others of its wake come before it; then it is taken behind them."""
        ...

    def deliver(self, give: Callable[[int], None]) -> None:
        """An answer is due: `give` is called with the number of its wake when it is told."""
        ...

    def refuse(self, wake: str, refusal: VenueRefusal) -> None:
        """An answer will be due whose request stands nowhere in the log of inputs; empty where it has no key."""
        ...


class Answers:
    """Answers by wake key (`<n>-<k>`): a repeated request gets the first answer, and makes no new input.

    The answer may still be under way: then whoever asks again waits for it too.
    """

    __slots__ = ("_by_wake", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # of wakes that answers were told as
        self._by_wake: OrderedDict[str, list[Reply] | tuple[Any, VenueRefusal | None]] = OrderedDict()

    def repeat(self, wake: str, reply: Reply) -> bool:
        """Answer as the first time, now or with it; False where the key is new, which is then under way."""
        found = self._by_wake.get(wake)
        if found is None:
            self._by_wake[wake] = []
            if len(self._by_wake) > MOST_ANSWERS:
                self._numbers.pop(self._by_wake.popitem(last=False)[0], None)
            return False
        if isinstance(found, list):
            found.append(reply)
        else:
            reply(*found)
        return True

    def number(self, wake: str) -> int:
        """The number of the wake that the answer of a key was; 0 where it was none."""
        return self._numbers.get(wake, 0)

    def keep(self, wake: str, value: Any, refusal: VenueRefusal | None, n: int = 0) -> None:
        """The answer of a key, given or read back from a journal; told as wake `n` to a concurrent bot."""
        if n:
            self._numbers[wake] = n
        waiting = self._by_wake.get(wake)
        self._by_wake[wake] = (value, refusal)
        if isinstance(waiting, list):
            for reply in waiting:
                reply(value, refusal)


class Waiting(Protocol):
    """A request that has no answer yet."""

    def reply(self, value: Any, refusal: VenueRefusal | None, /) -> None: ...


class Gate:
    """What the door keeps beside a course. Made once a course by whoever makes the course.

    `requests` and `in_work` tell a barrier what arrived and what is not answered yet; calls that no course is
    found for are in no count.
    """

    __slots__ = ("answers", "barrier", "faults", "is_over", "limits", "requests", "shows_time", "stamps", "waiting")

    def __init__(self, stamps: StampRule | None = None, limits: Limits | None = None) -> None:
        self.stamps = stamps or StampRule()
        self.limits = limits or Limits()
        self.answers = Answers()
        self.faults: WireFaults | None = None
        self.barrier: Barrier | None = None  # answers of this bot are wakes of it
        self.requests = 0
        self.waiting: dict[Waiting, None] = {}  # in the order in which they came
        self.is_over = False  # the run has ended: what it came to can be asked, and nothing sent
        self.shows_time = False  # answers say what time it is, to the nanosecond: a bot in lock-step has no other clock

    @property
    def in_work(self) -> int:
        return len(self.waiting)

    def suffer(self, faults: WireFaults) -> None:
        """What goes wrong from now on."""
        self.faults = faults
        self.stamps.skew_ns = faults.skew_ns

    def end(self) -> None:
        """The run is over. Its clock stands, so no window of its limits would ever end, nor would a fault: whoever asks
        what has become of it meets neither."""
        self.is_over = self.limits.is_paused = True
        self.faults = self.stamps.skew_ns = self.barrier = None
        self.let_go()

    def let_go(self) -> None:
        """Answers that are not given yet do not come: whoever waits for one is told that nobody knows, and may ask."""
        for one in tuple(self.waiting):
            one.reply(None, codes.timed_out())
