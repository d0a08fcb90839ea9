"""The beginning: who we are, what time it is there, and the places that are taken."""

from __future__ import annotations

import atexit
import os
import threading
from typing import Final

from gnomon.lockstep.barrier import Barrier
from gnomon.lockstep.control import Address, Control, Refused, time_ns
from gnomon.lockstep.places import Places

URL: Final = "GNOMON_VENUE_URL"
KEY: Final = "GNOMON_API_KEY"
_BEGUN: Final[list[Barrier]] = []


def begin() -> None:
    """Connect, and take the places, once in a process. Raises `Refused` where the variables are not set, or no session
    takes the key."""
    if _BEGUN:
        return
    url, key = os.environ.get(URL, ""), os.environ.get(KEY, "")
    if not url or not key:
        raise Refused(f"gnomon.shim needs {URL} and {KEY}: the venue's address and the bot's key")
    address = Address(url)
    barrier = Barrier()
    places, control = Places(barrier, address, key), Control(address, key)
    barrier.hands = _Hands(control, places)
    control.open(barrier.tell, barrier.at)
    barrier.start(time_ns(address, key))
    places.take()
    reader = threading.Thread(target=control.read, args=(barrier,), name="gnomon-shim", daemon=True)
    reader.start()
    atexit.register(_leave, barrier, control)
    _BEGUN.append(barrier)


class _Hands:
    """What is said goes by the control connection, what is read comes through the places."""

    def __init__(self, control: Control, places: Places) -> None:
        self.say, self.look = control.say, control.look
        self.is_readable, self.take_in = places.is_readable, places.take_in


def _leave(barrier: Barrier, control: Control) -> None:
    """A process that ends takes part no longer."""
    if not barrier.is_over:
        control.bye()
