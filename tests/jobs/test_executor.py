"""Executors: one answer from every back end, and an item that goes wrong alone. Conformance test 19 of the jobs."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.processes import first_line, put_down

from gnomon.errors import Invalid, Unavailable
from gnomon.jobs.executor import ONE_THREAD, Executor, InlineExecutor, LocalExecutor, Mapped, RayExecutor

ROOT = Path(__file__).parents[2]
HAS_RAY = importlib.util.find_spec("ray") is not None
Work = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children find the functions of the tests where this process does."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def work() -> Any:
    return importlib.import_module("tests.jobs.executor_work")


@pytest.fixture(scope="module")
def local() -> Iterator[LocalExecutor]:
    with LocalExecutor(2) as executor:
        yield executor


@pytest.fixture(params=["inline", "local", "ray"])
def executor(request: pytest.FixtureRequest) -> Executor:
    """Each back end; Ray where it is installed."""
    if request.param == "ray" and not HAS_RAY:
        pytest.skip("Ray is an extra")
    made = {"inline": InlineExecutor, "ray": RayExecutor, "local": lambda: request.getfixturevalue("local")}
    return made[request.param]()


def answers(executor: Executor, fn: Work, items: Mapping[str, Any], **options: Any) -> list[Any]:
    """Results, and for errors their kind."""
    found = list(executor.map(fn, items, **options))
    assert [one.key for one in found] == list(items)
    return [one.result if one.error is None else one.error["error"] for one in found]


# --- one answer -----------------------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_items(executor: Executor, work: Any) -> None:
    items = {f"k{number:02}": bytes([number]) for number in range(40)}
    assert answers(executor, work.digest, items) == [work.digest(one) for one in items.values()]


def test_no_items_make_no_results(executor: Executor, work: Any) -> None:
    assert list(executor.map(work.digest, {})) == []


def test_an_error_of_the_tree_arrives_whole_and_another_with_its_type(executor: Executor, work: Any) -> None:
    good, bad, bug = executor.map(work.behave, {"a": 1, "b": "raise", "c": "bug"})
    assert good == Mapped("a", 1)
    assert good.ok
    assert bad.error == {"error": "not_found", "message": "no such thing", "hint": "look elsewhere", "detail": {}}
    assert not bad.ok
    assert bug.error is not None
    assert "ZeroDivisionError" in bug.error["message"]


@pytest.mark.slow
def test_results_depend_neither_on_the_back_end_nor_on_workers_nor_on_order(work: Any) -> None:
    items = {f"k{number}": {"seed": number, "size": 20 + number} for number in range(12)}
    expected = {one.key: one for one in InlineExecutor().map(work.draw, items)}
    backends: list[Any] = [LocalExecutor(workers) for workers in (1, 2, 3)]
    if HAS_RAY:
        backends.append(RayExecutor())
    for backend in backends:
        for order in (list(items), list(items)[::-1], sorted(items, key=hash)):
            found = {one.key: one for one in backend.map(work.draw, {key: items[key] for key in order})}
            assert found == expected
        if isinstance(backend, LocalExecutor):
            backend.close()


# --- alone ----------------------------------------------------------------------------------------------------------


def test_a_child_that_dies_fails_its_item_alone(local: LocalExecutor, work: Any) -> None:
    items = {"a": 1, "b": "kill", "c": 2, "d": "exit", "e": 3, "f": "raise"}
    found = {one.key: one for one in local.map(work.behave, items)}
    assert [found[key].result for key in "ace"] == [1, 2, 3]
    assert found["f"].error is not None
    assert found["f"].error["error"] == "not_found"
    for key, how in (("b", "SIGKILL"), ("d", "exit 3")):
        error = found[key].error
        assert error is not None
        assert error["error"] == "unavailable"
        assert how in error["message"]
        assert "2 times" in error["message"]


def test_an_item_whose_child_died_is_tried_once_more(local: LocalExecutor, work: Any, tmp_path: Path) -> None:
    items = {f"k{number}": str(tmp_path / f"{number}") for number in range(3)}
    assert answers(local, work.die_once, items) == ["second"] * 3


def test_an_item_that_takes_too_long_is_killed_alone(local: LocalExecutor, work: Any) -> None:
    items = {"a": "sleep", "b": 1, "c": "sleep", "d": 2}
    answers(local, work.behave, {"a": 1, "b": 2})  # what the function needs is imported
    assert answers(local, work.behave, items, timeout_s=5.0) == ["exhausted", 1, "exhausted", 2]
    assert answers(local, work.behave, {"a": 1}) == [1]


def test_time_that_the_reader_takes_is_not_the_items(work: Any) -> None:
    with LocalExecutor(1) as one:
        answers(one, work.behave, {"a": 1})
        rows = one.map(work.behave, {"a": 1, "b": 2}, timeout_s=3.0)
        assert next(rows).result == 1
        time.sleep(3.2)
        assert next(rows).result == 2


def test_what_cannot_be_sent_fails_alone(local: LocalExecutor, work: Any) -> None:
    items = {"a": 1, "b": threading.Lock(), "c": "lock", "d": 2}
    assert answers(local, work.behave, items) == [1, "invalid", "invalid", 2]
    assert answers(local, lambda item: item, {"a": 1, "b": 2}) == ["invalid", "invalid"]
    assert answers(local, work.behave, {"a": 1}) == [1]


def test_a_function_that_the_child_cannot_find_fails_its_items(
    local: LocalExecutor, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(item: Any) -> Any:
        return item

    absent.__qualname__ = "absent"
    absent.__module__ = work.__name__
    monkeypatch.setattr(work, "absent", absent, raising=False)
    found = next(iter(local.map(absent, {"a": 1})))
    assert found.error is not None
    assert found.error["error"] == "invalid"
    assert "absent" in found.error["message"]


def test_large_items_and_results_pass(local: LocalExecutor, work: Any) -> None:
    items = {f"k{number}": bytes(3_000_000) for number in range(3)}
    assert all(one.result == items[one.key] for one in local.map(work.behave, items))


# --- children -------------------------------------------------------------------------------------------------------


def test_a_child_has_one_thread_for_linear_algebra(local: LocalExecutor, work: Any) -> None:
    assert set(answers(local, work.surroundings, {name: name for name in ONE_THREAD})) == {"1"}
    assert "NUMBA_NUM_THREADS" not in os.environ or os.environ["NUMBA_NUM_THREADS"] != "1"


def test_children_stay_for_the_next_call(work: Any) -> None:
    with LocalExecutor(1) as one:
        pids = {answers(one, work.surroundings, {"a": "pid"})[0] for _ in range(3)}
    assert len(pids) == 1
    assert pids != {str(os.getpid())}


def test_an_idle_child_that_was_killed_is_replaced(work: Any) -> None:
    with LocalExecutor(1) as one:
        (pid,) = answers(one, work.surroundings, {"a": "pid"})
        os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.2)
        (other,) = answers(one, work.surroundings, {"a": "pid"})
        assert other != pid


def test_modules_are_there_before_the_first_item(work: Any) -> None:
    with LocalExecutor(1, preload=("tomllib",)) as one:
        (loaded,) = answers(one, work.surroundings, {"a": "loaded"})
    assert "tomllib" in loaded.split(",")


def test_a_preload_that_cannot_be_imported_is_refused(work: Any) -> None:
    with LocalExecutor(1, preload=("surely_not_there",)) as one, pytest.raises(Invalid, match="surely_not_there"):
        list(one.map(work.behave, {"a": 1}))


def test_children_that_die_while_they_start_are_not_started_for_ever(
    work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with LocalExecutor(2, preload=("deadly",)) as one, pytest.raises(Unavailable, match="exit 7"):
        list(one.map(work.behave, {"a": 1, "b": 2, "c": 3}))


def test_who_stops_listening_leaves_nothing_running(work: Any) -> None:
    with LocalExecutor(2) as one:
        rows = one.map(work.behave, {"a": 1, "b": "sleep", "c": "sleep"})
        assert next(rows).result == 1
        rows.close()  # type: ignore[attr-defined]  # a generator
        began = time.monotonic()
    assert time.monotonic() - began < 300  # the items sleep for twice as long


def test_closing_ends_children_at_work(work: Any) -> None:
    one = LocalExecutor(2)
    rows = one.map(work.behave, {"a": 1, "b": "sleep", "c": 2})
    assert next(rows).result == 1
    one.close()
    with pytest.raises(Unavailable, match="closed"):
        list(rows)


@pytest.mark.slow
def test_children_of_a_parent_that_was_killed_end_by_themselves(tmp_path: Path) -> None:
    code = (
        "from gnomon.jobs.executor import LocalExecutor\n"
        "from tests.jobs.executor_work import surroundings, leave\n"
        "one = LocalExecutor(1)\n"
        "print(next(iter(one.map(surroundings, {'a': 'pid'}))).result, flush=True)\n"
        f"list(one.map(leave, {{'a': {str(tmp_path / 'left')!r}, 'b': {str(tmp_path / 'more')!r}}}))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid = int(first_line(parent))
    deadline = time.monotonic() + 600
    while not (tmp_path / "left.begun").exists():
        assert time.monotonic() < deadline, "the child never began"
        time.sleep(0.05)
    put_down(parent)
    while _runs(pid):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)
    assert not (tmp_path / "more.begun").exists()  # it finished what it had and took nothing new


def _runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_loads_nothing_heavy() -> None:
    code = (
        "import sys, gnomon.jobs.executor; print(sorted({'numpy', 'sqlalchemy', 'pandas', 'ray'} & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    ).stdout
    assert loaded.strip() == "[]"


def test_no_workers_are_refused() -> None:
    with pytest.raises(Invalid, match="-1 workers"):
        LocalExecutor(-1)


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed here")
def test_ray_that_is_not_installed_is_named() -> None:
    with pytest.raises(Unavailable, match="Ray") as caught:
        RayExecutor()
    assert "gnomon[ray]" in caught.value.hint


@pytest.mark.skipif(not HAS_RAY, reason="Ray is an extra")
def test_ray_fails_items_alone(work: Any) -> None:
    items = {"a": 1, "b": "kill", "c": "lock", "d": 2}
    assert answers(RayExecutor(), work.behave, items) == [1, "unavailable", "invalid", 2]
    assert answers(RayExecutor(), work.behave, {"a": "sleep", "b": 2}, timeout_s=20) == ["exhausted", 2]
