"""No test waits without an end: a whole run once stood for an hour on one process that had nothing more to say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ENDLESS = {"join": "join(60)", "result": "result(60)", "acquire": "acquire(timeout=60)", "wait": "wait(60)"}
"""Methods that wait for ever where they are given nothing."""
PROCESSES = ("run", "call", "check_call", "check_output")
"""Of `subprocess`: they wait for ever where they are given no timeout."""
POSITION = {"urlopen": 3, "create_connection": 2, "communicate": 2}
"""So do these: the place of their timeout, where it has no name."""
OWN = ("processes.py",)
"""Where processes are ended by a watch."""


def endless_waits(source: str) -> list[str]:
    """What in a source may wait without an end, as `line: what to write`. A program in a string is another process, for
    whose end somebody waits."""
    tree = ast.parse(source)
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node).endswith("wait_for"):
            awaited |= {id(one) for one in node.args}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any(name_of(item.context_expr).endswith("Popen") for item in node.items):
            found.append(f"{node.lineno}: leaving `with Popen` waits: `with running(...)` of tests/processes.py")
        elif isinstance(node, ast.Call) and id(node) not in awaited:
            found += [f"{node.lineno}: {said}" for said in complaints(node)]
    return found


def complaints(call: ast.Call) -> list[str]:
    given = {one.arg for one in call.keywords}
    *owner, name = name_of(call).split(".")
    if name in ENDLESS and owner and not call.args and not given:
        return [f"{name}() has no end: {ENDLESS[name]}"]
    is_process = name in PROCESSES and owner == ["subprocess"]
    has_timeout = bool(given & {"timeout", None}) or len(call.args) >= POSITION.get(name, 99)
    if (is_process or (name in POSITION and owner)) and not has_timeout:
        return [f"{name} has no timeout"]
    return []


def name_of(node: ast.AST) -> str:
    """`a.b.c` of a call of it; a part that is no name is left out."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_no_test_waits_without_an_end() -> None:
    files = [file for file in sorted(TESTS.rglob("*.py")) if file.name not in OWN]
    found = {
        file.relative_to(TESTS).as_posix(): said for file in files if (said := endless_waits(file.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "is_endless"),
    [
        ("with subprocess.Popen(['x']) as one: pass", True),
        ("with running(['x']) as one: pass", False),
        ("subprocess.run(['x'], check=True)", True),
        ("subprocess.run(['x'], timeout=5)", False),
        ("one.communicate(b'')", True),
        ("one.communicate(timeout=5)", False),
        ("urllib.request.urlopen('http://x')", True),
        ("urllib.request.urlopen('http://x', timeout=5)", False),
        ("socket.create_connection(('x', 1))", True),
        ("socket.create_connection(('x', 1), 5)", False),
        ("thread.join()", True),
        ("','.join(words)", False),
        ("lock.acquire()", True),
        ("lock.acquire(timeout=5)", False),
        ("future.result()", True),
        ("process.wait()", True),
        ("process.wait(5)", False),
        ("async def f(): await event.wait()", False),
        ("asyncio.wait_for(event.wait(), 5)", False),
        ("PROGRAM = 'thread.join()'", False),
    ],
)
def test_a_planted_wait_is_seen(source: str, is_endless: bool) -> None:
    assert bool(endless_waits(source)) is is_endless
