"""Many at once give the same bytes as one after the other, in threads and in processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
import torch
from tests.forecast.kronos.conftest import bars, networks

from gnomon.forecast.kronos.kronos import Kronos

REQUESTS = [
    {
        "lookback": 12 + 5 * (n % 9),
        "horizon": 3 + n % 7,
        "samples": 1 + n % 4,
        "seed": n,
        "window": window,
        "series": n % 6,
    }
    for n, window in zip(range(32), ["exact", "exact", "capped", "rolling"] * 8, strict=True)
]
ROUNDS = int(os.environ.get("GNOMON_ROUNDS", "5"))
"""How often in a row, each time in another order of arrival; `GNOMON_ROUNDS=20` is the full length."""


def answer(kronos: Kronos, request: dict[str, Any]) -> str:
    table = bars(request["lookback"] + request["horizon"], request["series"])
    paths = kronos.sample(
        table.iloc[: request["lookback"]],
        table.index[request["lookback"] :],
        **{name: request[name] for name in ("samples", "seed", "window")},
    )
    return hashlib.blake2b(paths.tobytes()).hexdigest()


def loaded() -> Kronos:
    return Kronos(*networks(), max_context=40)


@pytest.mark.slow
def test_thirty_two_threads_give_the_bytes_of_one_after_the_other_every_time() -> None:
    kronos = loaded()
    serial = [answer(kronos, one) for one in REQUESTS]
    assert len(set(serial)) == len(REQUESTS)
    with ThreadPoolExecutor(32) as pool:
        for round_ in range(ROUNDS):
            turned = REQUESTS[round_:] + REQUESTS[:round_]  # another order of arrival each time
            found = list(pool.map(lambda one: answer(kronos, one), turned))
            assert found == serial[round_:] + serial[:round_]


_mine: list[Kronos] = []


def _start() -> None:
    torch.set_num_threads(1)
    _mine.append(loaded())


def _answer(request: dict[str, Any]) -> str:
    return answer(_mine[0], request)


@pytest.mark.slow
def test_processes_give_the_bytes_of_one_after_the_other_every_time() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        serial = [answer(loaded(), one) for one in REQUESTS]
    finally:
        torch.set_num_threads(threads)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=_start) as pool:
        for _ in range(ROUNDS):
            assert list(pool.map(_answer, REQUESTS, timeout=600)) == serial


@pytest.mark.slow
def test_calls_of_other_sizes_at_the_same_time_leave_a_forecast_as_it_is() -> None:
    """The reference keeps position tables that each call overwrites; here nothing is kept."""
    kronos = loaded()
    request = REQUESTS[3]
    alone = answer(kronos, request)
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(answer, kronos, one) for one in REQUESTS * 2]
        found = {answer(kronos, request) for _ in range(20)}
        for one in others:
            one.result(timeout=600)
    assert found == {alone}
