"""Purity: what the lint finds, what the guard stops, and what both let pass."""

from __future__ import annotations

import datetime as dt
import io
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trader.driver import Drive, bars

from gnomon.errors import Refused
from gnomon.trader.purity import check, guard, lint
from gnomon.trader.trader import Strategy

FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "time.time": (lambda: time.time(), "use desk.now"),
    "time.sleep": (lambda: time.sleep(5), "use desk.now"),
    "time.perf_counter": (lambda: time.perf_counter(), "use desk.now"),
    "random.random": (lambda: random.random(), "use desk.rng(name)"),
    "numpy.random.normal": (lambda: np.random.normal(), "use desk.rng(name)"),  # noqa: NPY002 - the fault that is planted
    "numpy.random.default_rng": (lambda: np.random.default_rng(), "use desk.rng(name)"),
    "uuid.uuid4": (lambda: uuid.uuid4(), "use desk.rng(name)"),
    "builtins.open": (lambda: open(os.devnull), "use the desk"),  # noqa: PTH123, SIM115 - the fault that is planted
    "os.getenv": (lambda: os.getenv("HOME"), "use the desk"),
    "socket.create_connection": (lambda: socket.create_connection(("localhost", 1), 1), "use the desk"),
    "threading.Thread.start": (lambda: threading.Thread(target=dict).start(), "one at a time"),
    "io.open": (lambda: Path(os.devnull).read_text(), "use the desk"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_hook_that_leaves_the_desk_is_stopped_where_it_does(name: str) -> None:
    fault, hint = FAULTS[name]

    class Impure(Strategy):
        def on_bar(self, _desk: Any, _bar: Any) -> None:
            fault()

    with guard(), pytest.raises(Refused) as caught:
        Drive(Impure(), bars([100, 101])).run()
    assert caught.value.message == f"{name} inside a hook"
    assert hint in caught.value.hint


def test_the_machinery_and_the_desk_keep_their_doors(tmp_path: Path) -> None:
    class Pure(Strategy):
        def on_start(self, _desk: Any) -> None:
            self.drawn: list[float] = []

        def on_bar(self, desk: Any, _bar: Any) -> None:
            self.drawn.append(float(desk.rng("x").random()) + desk.candles(0, 3).close[-1])

    with guard():
        run = Drive(Pure(), bars([100, 101])).run()
    assert len(run.trader.drawn) == 2
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    from gnomon.market.tape import Tape  # noqa: F401 - an import opens files

    with guard():
        assert isinstance(threading.current_thread(), threading.Thread)


def test_guards_may_be_nested_and_leave_nothing_behind() -> None:
    before = time.time, io.open, socket.socket, random.random
    with guard(), guard():
        assert time.time is not before[0]
    assert (time.time, io.open, socket.socket, random.random) == before


SOURCE = """
import time as clock
import numpy as np
from datetime import datetime
from random import choice as pick
import os.path

def helper():
    return clock.time()

def unused():
    return open("x")

class Uses:
    def on_bar(self, desk, bar):
        helper()
        datetime.now()
        pick([1])
        np.random.normal()
        time = bar.time
        return time.real + desk.random + os.path.sep.count("x")

class Clean:
    def on_bar(self, desk, bar):
        open = bar.candle.open
        return desk.rng("a").normal() + np.mean([open])
"""


def test_the_lint_finds_uses_by_their_full_names_in_what_the_class_reaches() -> None:
    found = lint(SOURCE, "Uses")
    assert [(one.name, one.line) for one in found] == [
        ("time.time", 9),
        ("datetime.datetime.now", 17),
        ("random.choice", 18),
        ("numpy.random.normal", 19),
    ]
    assert "open" not in {one.name for one in found}
    assert lint(SOURCE, "Clean") == []
    assert "open" in {one.name for one in lint(SOURCE)}


class Dirty(Strategy):
    def on_bar(self, desk: Any, _bar: Any) -> None:
        if dt.datetime.now().hour > 3:  # noqa: DTZ005 - the fault that is planted
            desk.buy()


class Neat(Strategy):
    def on_bar(self, desk: Any, bar: Any) -> None:
        if bar.time_ns > desk.session.start_ns:
            desk.buy()


def test_a_class_is_checked_before_it_runs() -> None:
    check(Neat)
    with pytest.raises(Refused, match=r"datetime\.datetime\.now") as caught:
        check(Dirty)
    assert caught.value.hint == "use desk.now"

    class Local(Strategy):
        def on_bar(self, _desk: Any, _bar: Any) -> None:
            random.random()

    with pytest.raises(Refused, match=r"random\.random"):
        check(Local)
    check(type("Typed", (Neat,), {}))


def test_text_that_is_executed_is_of_whoever_executes_it() -> None:
    """A library may (SciPy does, when numba first asks for it), a trader may not."""
    with guard(), pytest.raises(Refused, match=r"time\.time inside a hook"):
        exec("import time\ntime.time()", {})
