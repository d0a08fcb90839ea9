"""While a run is on, nothing asks the machine for time, chance, its surroundings or company."""

from __future__ import annotations

import types

import pytest
from tests.replay.fixed_runs import runs
from tests.replay.scene import random_session
from tests.replay.tripwire import Tripped, tripwire

from gnomon.replay.record import Kept, Record
from gnomon.replay.run import play, play_again


@pytest.mark.parametrize("name", list(runs()))
def test_a_run_asks_the_machine_for_nothing(name: str) -> None:
    how, trader = runs()[name]
    with tripwire():
        run = play(how, trader)
    assert run.fills > 20


def test_a_run_with_own_events_its_record_and_its_replay_ask_for_nothing() -> None:
    how, trader = random_session(1_002)
    kept, made = Kept(), trader()
    with tripwire():
        play(how, made, sink=kept, mode="full")
        play_again(Record(kept), how, Kept())
    assert Record(kept).check().ok


PLANTED = [
    "import time\ntime.time_ns()",
    "import time\ntime.monotonic()",
    "import time\ntime.sleep(0)",
    "from time import perf_counter_ns as quantity\nquantity()",
    "import datetime\ndatetime.datetime.now()",
    "from datetime import date\ndate.today()",
    "import random\nrandom.random()",
    "from random import Random\nRandom(7)",
    "import numpy\nnumpy.random.default_rng(7)",
    "import os\nos.urandom(8)",
    "import os\nos.environ.get('HOME')",
    "import os\nos.getpid()",
    "import uuid\nuuid.uuid4()",
    "import secrets\nsecrets.token_bytes(8)",
    "import socket\nsocket.gethostname()",
    "import threading\nthreading.Thread(target=len).start()",
    "import threading\nthreading.current_thread()",
    "open('/dev/null')",
    "hash('x')",
    "id('x')",
    "__import__('time').time_ns()",
]


def _planted(text: str) -> types.FunctionType:
    """The lines as a function of a module of the package."""
    body = "\n".join(f"    {line}" for line in text.splitlines())
    module = types.ModuleType("gnomon.planted")
    exec(compile(f"def planted():\n{body}\n", "planted.py", "exec"), module.__dict__)
    return module.__dict__["planted"]  # type: ignore[no-any-return]  # just written


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_question_trips_the_wire(text: str) -> None:
    planted = _planted(text)
    with pytest.raises(Tripped, match=r"gnomon\.planted:\d+ called"), tripwire():
        planted()


def test_the_wire_is_gone_afterwards_and_what_is_not_ours_does_not_trip_it() -> None:
    planted = _planted(PLANTED[0])
    with tripwire():
        types.FunctionType(planted.__code__, {"__name__": "tests.planted"})()
    planted()
