"""Pieces and the gate."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.forecast.kronos.memory import Gate, Sizes, gate_of, pieces
from gnomon.forecast.kronos.window import Rules

SIZES = Sizes(layers=4, width=256, ff_dim=512, vocabulary=1024)


@given(
    lengths=st.lists(st.integers(1, 600), min_size=1, max_size=30),
    samples=st.integers(1, 40),
    budget=st.integers(1, 1 << 28),
)
def test_pieces_hold_every_path_once_and_keep_the_budget_where_one_path_does(
    lengths: list[int], samples: int, budget: int
) -> None:
    found = pieces(SIZES, lengths, samples, Rules(24, 512), budget)
    paths = [(at, number) for one in found for at in one.series for number in range(*one.samples)]
    assert sorted(paths) == [(at, number) for at in range(len(lengths)) for number in range(samples)]
    for one in found:
        is_one_path = len(one.series) == 1 and one.samples[1] - one.samples[0] == 1
        assert one.nbytes <= budget or is_one_path


def test_without_a_budget_all_is_one_piece() -> None:
    (one,) = pieces(SIZES, [100] * 50, 30, Rules(120, 512), None)
    assert (one.series, one.samples) == (tuple(range(50)), (0, 30))


def test_a_gate_never_lets_in_more_than_fits() -> None:
    gate, held, most, lock = Gate(100), [0], [0], threading.Lock()

    def work(nbytes: int) -> None:
        with gate.hold(nbytes):
            with lock:
                held[0] += nbytes
                most[0] = max(most[0], held[0])
            time.sleep(0.002)
            with lock:
                held[0] -= nbytes

    threads = [threading.Thread(target=work, args=(10 + 7 * (n % 11),)) for n in range(60)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(600)
    assert 60 < most[0] <= 100


def test_what_is_larger_than_the_limit_runs_alone_and_waits_for_nobody_behind_it() -> None:
    gate, order = Gate(100), []
    tickets = 1
    first_in, let_go = threading.Event(), threading.Event()

    def first() -> None:
        with gate.hold(60):
            first_in.set()
            let_go.wait(600)

    def later(name: str, nbytes: int) -> None:
        with gate.hold(nbytes):
            order.append(name)

    holder = threading.Thread(target=first)
    holder.start()
    assert first_in.wait(600)
    waiting = []
    for name, nbytes in (("large", 500), ("small", 10)):
        waiting.append(threading.Thread(target=later, args=(name, nbytes)))
        waiting[-1].start()
        tickets += 1
        until = time.monotonic() + 600
        while gate._next < tickets:  # it has come, and waits
            assert time.monotonic() < until, f"{name} has not come"
            time.sleep(0.01)
    assert order == []  # the small one would fit, but does not overtake
    let_go.set()
    for one in (holder, *waiting):
        one.join(600)
    assert order == ["large", "small"]


def test_a_failure_inside_gives_its_room_back() -> None:
    gate = Gate(10)
    with pytest.raises(ZeroDivisionError), gate.hold(10):
        _ = 1 / 0
    with gate.hold(10):
        pass


def test_a_device_has_one_gate_in_a_process() -> None:
    assert gate_of("test:0") is gate_of("test:0")
    assert gate_of("test:0") is not gate_of("test:1")
    with pytest.raises(Invalid, match="a limit of 0 bytes"):
        Gate(0)
