"""The watch over the ledger: when it looks, what it tells, and that it never stands in a reader's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import anyio.from_thread
import pytest
from sqlalchemy import Engine, text

from gnomon.errors import Unavailable
from gnomon.serve.gateway import watch
from gnomon.serve.gateway.watch import Watch
from gnomon.store.engine import writing

Slot = tuple[str, str]


class Chain:
    """A chain that grows when a test says so."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []
        self.told: list[list[Slot]] = []
        self.answer: Callable[[], tuple[int, list[Slot]]] = lambda: (0, [])

    def grown(self, since: int | None) -> tuple[int, list[Slot]]:
        self.asked.append(since)
        return self.answer()

    def outdated(self, slots: Iterable[Slot]) -> None:
        self.told.append(list(slots))


@pytest.fixture
def portal() -> Iterator[anyio.from_thread.BlockingPortal]:
    with anyio.from_thread.start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_a_look_is_due_at_first_and_again_after_a_tenth_of_a_second(
    engine: Engine, chain: Chain, portal: anyio.from_thread.BlockingPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(watch, "monotonic", lambda: now)
    one = Watch(engine, chain.grown, chain.outdated)
    assert one.due()
    portal.call(one.look)
    now += 0.099
    assert not one.due()
    now += 0.002
    assert one.due()


def test_growth_is_told_once_and_the_next_look_begins_there(
    engine: Engine, chain: Chain, portal: anyio.from_thread.BlockingPortal
) -> None:
    one = Watch(engine, chain.grown, chain.outdated)
    chain.answer = lambda: (7, [("a", "1h")])
    portal.call(one.look)
    portal.call(one.look)
    assert chain.asked == [None, 7]
    assert chain.told == [[("a", "1h")]]


def test_a_commit_of_this_process_makes_a_look_due(
    engine: Engine, chain: Chain, portal: anyio.from_thread.BlockingPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 1e9)
    one = Watch(engine, chain.grown, chain.outdated)
    portal.call(one.look)
    assert not one.due()
    with writing(engine) as connection:
        connection.execute(text("SELECT 1"))
    assert one.due()


def test_a_commit_during_a_look_is_not_forgotten(
    engine: Engine, chain: Chain, portal: anyio.from_thread.BlockingPortal
) -> None:
    one = Watch(engine, chain.grown, chain.outdated)

    def commit_meanwhile() -> tuple[int, list[Slot]]:
        with writing(engine) as connection:
            connection.execute(text("SELECT 1"))
        return 0, []

    chain.answer = commit_meanwhile
    portal.call(one.look)
    assert one.due()


def test_readers_who_come_together_share_a_look(
    engine: Engine, chain: Chain, portal: anyio.from_thread.BlockingPortal
) -> None:
    one = Watch(engine, chain.grown, chain.outdated)

    async def come_together() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one.look)

    portal.call(come_together)
    assert len(chain.asked) == 1


def test_a_database_that_is_away_is_no_ones_failure(
    engine: Engine, chain: Chain, portal: anyio.from_thread.BlockingPortal, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> tuple[int, list[Slot]]:
        raise Unavailable("away")

    chain.answer = away
    one = Watch(engine, chain.grown, chain.outdated)
    portal.call(one.look)
    assert not one.due()  # and it isn't asked again at once
    assert "away" in caplog.text
    assert chain.told == []


def test_a_database_that_hangs_holds_readers_up_for_half_a_second_only(
    engine: Engine, chain: Chain, portal: anyio.from_thread.BlockingPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PATIENCE_S", 0.05)
    release = threading.Event()

    def hang() -> tuple[int, list[Slot]]:
        release.wait(600)
        return 0, []

    chain.answer = hang
    one = Watch(engine, chain.grown, chain.outdated)
    portal.call(one.look)
    portal.call(one.look)
    assert chain.asked == [None]  # the second waited for the first
    release.set()
