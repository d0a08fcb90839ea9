"""Runners: the search print by print finds what the jumps find, and a run of either has the same digests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.replay.scene import linear, random_session, recorded, rough_bars, rough_prints

from gnomon.errors import Invalid
from gnomon.exchange import search
from gnomon.exchange.search import first_crossing
from gnomon.exchange.thresholds import Thresholds
from gnomon.market.block_index import BlockIndex
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import play, play_again
from gnomon.replay.runners import KERNEL, RUNNERS, print_by_print, runner


@pytest.mark.parametrize("seed", range(8))
def test_every_print_is_read_and_the_same_one_is_found(seed: int) -> None:
    dice = np.random.default_rng(seed)
    bars, prints = rough_bars(seed, 400), rough_prints(seed, 400)
    indexes = (
        BlockIndex.of_ranges(bars.low, bars.high, bars.volume),
        BlockIndex.of_prints(prints.price, prints.lots, prints.side),
    )
    for rows, index in zip((bars, prints), indexes, strict=True):
        for _ in range(20):
            start, width, off = (int(one) for one in dice.integers(0, 200, 3))
            wanted = Thresholds(bid=10_000 - off, ask=10_000 + off, up=10_050 + off, down=9_950 - off)
            found = print_by_print(rows, index, start, start + width, wanted)
            assert found == linear(rows, index, start, start + width, wanted)
            assert found == first_crossing(rows, index, start, start + width, wanted)


@pytest.mark.parametrize("seed", range(400, 412))
def test_a_run_is_the_same_by_either_runner(seed: int) -> None:
    how, trader = random_session(seed)
    naive, jump = (play(how, trader(), search=runner(name)) for name in ("naive", "jump"))
    assert naive.digests == jump.digests
    assert naive.told == jump.told


@pytest.mark.parametrize("name", RUNNERS)
def test_either_replays_the_inputs_of_the_other(name: str) -> None:
    how, trader = random_session(420)
    run, record = recorded(how, trader())
    again = Kept()
    assert play_again(record, how, again, runner(name)).digests == run.digests
    assert [one.raw for one in Record(again).entries()] == [one.raw for one in record.entries()]


def test_an_index_that_lies_is_not_asked_by_the_naive_one() -> None:
    """So a search that errs is found out by it."""
    how, trader = random_session(5)
    lying = tuple(replace(one, index=BlockIndex.of_ranges(*[np.zeros(0, np.int64)] * 3)) for one in how.ground.tapes)
    blind = replace(how, ground=replace(how.ground, tapes=lying))
    assert play(blind, trader(), search=runner("naive")).digests == play(how, trader()).digests


def test_an_unknown_runner_is_refused_with_those_there_are() -> None:
    with pytest.raises(Invalid, match="no runner 'jumps'") as refused:
        runner("jumps")
    assert refused.value.hint == "one of jump, kernel, naive"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_every_runner_gives_the_same_digests(seed: int) -> None:
    """Random sessions over prints and bars, of one instrument and several, with every kind of order."""
    plan, trader = random_session(seed, rows=200)
    digests = [play(plan, trader(), search=runner(one)).digests for one in RUNNERS]
    assert digests[0] == digests[1] == digests[2]


def test_without_numba_the_kernel_is_jump_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.compiled._is_available", lambda: False)
    with pytest.warns(RuntimeWarning, match="the runner is jump"):
        assert runner(KERNEL) is search.first_crossing


def test_numba_is_loaded_by_the_kernel_alone() -> None:
    program = (
        "import sys\nfrom gnomon.replay.runners import runner\nimport gnomon.replay.array_run\n"
        "runner('jump'), runner('naive')\nassert 'numba' not in sys.modules\n"
        "runner('kernel')\nprint('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "True"
