"""What the pure packages may not do, because it would make two runs of one plan differ: read from their syntax.

Import contracts keep clocks, chance and threads out of them; these rules keep out what Python itself brings: the order
of a set, the address of an object, a float's rounding, state that outlives a run. Each is shown to catch a planted
fault here, and on the real source in `tests/replay/test_mutations.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import gnomon

SRC = Path(cast(str, gnomon.__file__)).parent
INTEGER = ("exchange", "replay")
"""Packages in which every number is an integer. `market` has the two ends where floats come from and go to."""
PURE = (*INTEGER, "market", "score")
RUNS = (*INTEGER, "market", "trader")
"""Packages whose code runs while a run does: nothing in them may outlive it."""

FORECASTS = {"replay/archive.py", "replay/wire.py"}
"""They hand on what a forecaster said, which is made of floats and known by its content hash; no fill is made of it."""

RUNTIME = "trader/pulse/"
"""A process of its own beside a bot: it asks the machine, so that the strategies in it need not."""

Check = Callable[[ast.Module], Iterator[tuple[int, str]]]
"""Line and what is wrong there."""

RULES: dict[str, tuple[tuple[str, ...], Check]] = {}


def rule(packages: tuple[str, ...]) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        RULES[check.__name__] = packages, check
        return check

    return keep


# --- numbers ----------------------------------------------------------------------------------------------------------


@rule(INTEGER)
def floats(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Literals, true division, conversions, and the kinds of numpy."""
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"{node.value} (integers, in units of the asset)"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, f"{ast.unparse(node)} (`//`, and say which way it rounds)"
        elif isinstance(node, ast.Name | ast.Attribute):
            name = ast.unparse(node).rpartition(".")[2]
            if name in {"float", "float16", "float32", "float64", "complex", "truediv", "fsum", "sqrt", "isclose"}:
                yield node.lineno, f"{ast.unparse(node)} (integers)"


# --- order ------------------------------------------------------------------------------------------------------------

SETS = {"set", "frozenset"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
IN_ORDER = {"list", "tuple", "enumerate", "iter", "map", "filter", "zip", "next", "reversed", "join", "extend"}
"""Callables whose answer depends on the order of what they are given; `sorted`, `min`, `len` and the like are not."""


ORDERLESS = {"sorted", "min", "max", "any", "all", "sum", "len", "set", "frozenset"}


def _is_set(node: ast.AST | None, known: set[str]) -> bool:
    """Whether an expression is a set as far as its text says: by display, by call, by operator, by a known name."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in SETS
        return isinstance(node.func, ast.Attribute) and node.func.attr in SET_METHODS
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, known) or _is_set(node.right, known)
    return isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in known


def _set_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Names and attributes that hold a set somewhere among the nodes."""
    known: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Assign) and _is_set(node.value, known):
            known |= {ast.unparse(target) for target in node.targets}
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            written = ast.unparse(node.annotation).removeprefix("Final[")
            if written.split("[")[0] in {*SETS, "AbstractSet", "MutableSet", "Set"} or (
                isinstance(node, ast.AnnAssign) and _is_set(node.value, known)
            ):
                name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
                known |= {name, f"self.{name}"}  # a field of a dataclass is read through self
    return known


def _scopes(module: ast.Module) -> Iterator[tuple[list[ast.AST], set[str]]]:
    """The module and each of its outermost functions and methods: its nodes, and the names that hold sets in it."""
    functions = ast.FunctionDef, ast.AsyncFunctionDef

    def outside(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, functions):
                yield child
                yield from outside(child)

    def of(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, functions):
                yield child
            else:
                yield from of(child)

    open_ground = list(outside(module))
    inner = [list(ast.walk(function)) for function in of(module)]
    attributes = {name for nodes in inner for name in _set_names(nodes) if "." in name}
    shared = _set_names(open_ground) | attributes
    yield open_ground, shared
    for nodes in inner:
        yield nodes, shared | _set_names(nodes)


@rule(PURE)
def order_of_a_set(module: ast.Module) -> Iterator[tuple[int, str]]:
    """A set in a loop, in a comprehension, unpacked, or given to whatever keeps its order."""
    for nodes, known in _scopes(module):
        harmless = _orderless(nodes)
        for node in nodes:
            read: list[ast.expr] = []
            if isinstance(node, ast.For) or (isinstance(node, ast.comprehension) and node not in harmless):
                read = [node.iter]
            elif isinstance(node, ast.Starred) and isinstance(node.ctx, ast.Load) and node not in harmless:
                read = [node.value]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in IN_ORDER:
                read = [*node.args]
            for one in read:
                if _is_set(one, known):
                    yield one.lineno, f"{ast.unparse(one)} is read in its own order (sorted, or a dict)"


def _orderless(nodes: Iterable[ast.AST]) -> list[ast.AST]:
    """Comprehensions and stars whose order nobody sees: they make a set, or are given to one that does not mind."""
    found: list[ast.AST] = []
    for node in nodes:
        if isinstance(node, ast.SetComp):
            found += node.generators
        elif isinstance(node, ast.Set):
            found += node.elts
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ORDERLESS:
            found += [
                one for arg in node.args for one in (arg.generators if isinstance(arg, ast.GeneratorExp) else [arg])
            ]
    return found


@rule(PURE)
def identity(module: ast.Module) -> Iterator[tuple[int, str]]:
    """What differs from process to process: hashes, addresses, the order in which a dict gives up its items."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in {"hash", "id", "object.__repr__"} or name.endswith((".popitem", ".__hash__")):
                yield node.lineno, f"{name}() differs from process to process (a counter, or a digest)"


# --- state ------------------------------------------------------------------------------------------------------------

CHANGES = {
    *("append", "add", "update", "setdefault", "pop", "popleft", "clear", "extend", "insert", "remove", "discard"),
    *("appendleft", "popitem", "sort", "reverse", "__setitem__", "send"),
}
COUNTERS = {"itertools.count", "count", "iter", "cycle", "itertools.cycle"}


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _locals(function: ast.AST) -> set[str]:
    bound = {one.arg for one in ast.walk(function) if isinstance(one, ast.arg)}
    return bound | {
        one.id for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }


@rule(RUNS)
def state_of_a_module(module: ast.Module) -> Iterator[tuple[int, str]]:
    """A name of the module that a function assigns, changes, or draws the next of; a default that is changed."""
    names: dict[str, ast.expr | None] = {}
    for node in module.body:
        if isinstance(node, ast.Assign):
            names |= {ast.unparse(one): node.value for one in node.targets}
        elif isinstance(node, ast.AnnAssign):
            names[ast.unparse(node.target)] = node.value
    for name, value in names.items():
        if isinstance(value, ast.Call) and ast.unparse(value.func) in COUNTERS:
            yield value.lineno, f"{name} remembers (count in the object that needs the number)"
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        outer = {*names} - _locals(function)
        defaults = [*function.args.defaults, *(one for one in function.args.kw_defaults if one is not None)]
        for default in defaults:
            if isinstance(default, ast.List | ast.Dict | ast.Set):
                yield default.lineno, f"{ast.unparse(default)} as a default outlives the call"
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                yield node.lineno, f"global {', '.join(node.names)} outlives a run"
            elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                if _root(node) in outer:
                    yield node.lineno, f"{ast.unparse(node)} is state of the module"
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if node.func.attr in CHANGES and isinstance(owner, ast.Name) and owner.id in outer:
                    yield node.lineno, f"{ast.unparse(node.func)}() changes state of the module"


@rule(PURE)
def asynchrony(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "the order of a loop of events is not ours"


@rule(RUNS)
def doors_of_the_machine(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports that no contract reads: by a call, or of what is not on its list."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"__import__", "importlib.import_module", "open"}:
            yield node.lineno, f"{ast.unparse(node)} (effects stay at the edge)"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in found:
                if name.split(".")[0] in {"os", "time", "secrets", "uuid", "threading", "random", "datetime"}:
                    yield node.lineno, f"import of {name} (the machine is not asked)"


# --- the real source --------------------------------------------------------------------------------------------------


def complaints(path: str, source: str) -> list[str]:
    """What all rules say of a module, `exchange/working.py` for one."""
    module = ast.parse(source)
    package = path.split("/")[0]
    return [
        f"{path}:{line}: {what} [{name}]"
        for name, (packages, check) in RULES.items()
        if package in packages
        and not (name == "floats" and path in FORECASTS)
        and not (name == "doors_of_the_machine" and path.startswith(RUNTIME))
        for line, what in check(module)
    ]


@pytest.mark.parametrize("package", sorted({*PURE, *RUNS}))
def test_the_pure_packages_keep_the_rules(package: str) -> None:
    found = [
        one
        for file in sorted((SRC / package).rglob("*.py"))
        for one in complaints(file.relative_to(SRC).as_posix(), file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


FAULTS: dict[str, list[str]] = {
    "floats": [
        "x = 0.5", "x = a / b", "x /= 2", "x = float(y)", "x = 1e8", "x = np.float64(y)", "x = y.astype(float)",
        "x = 2j", "from math import sqrt\nx = sqrt(y)",
    ],
    "order_of_a_set": [
        "for one in {1, 2}: pass", "for one in set(a): pass", "a = set(b)\nfor one in a: pass",
        "x = [one for one in {*a}]", "x = list({1, 2})", "x = ','.join({*a})", "x = [*{1, 2}]",
        "for one in frozenset(a) & b: pass", "for one in a.union(b): pass", "x = next(iter({1, 2}))",
        "def f(a: set[int]):\n    for one in a: pass",
        "class A:\n    def __init__(self): self.x = set()\n    def f(self): return [one for one in self.x]",
        "class A:\n    x: frozenset[int]\n    def f(self):\n        for one in self.x: pass",
        "for at, one in enumerate(set(a)): pass", "x = {one: 1 for one in {1, 2}}", "f(*{1, 2})", "x.extend(set(a))",
    ],
    "identity": ["x = hash(a)", "x = id(a)", "a.popitem()", "sorted(a, key=lambda one: id(one))", "a.__hash__()"],
    "state_of_a_module": [
        "made = []\ndef f(): made.append(1)", "made = {}\ndef f(): made['x'] = 1",
        "n = 0\ndef f():\n    global n\n    n += 1",
        "class A:\n    n = 0\nB = A()\ndef f(): B.n += 1", "from itertools import count\nnumbers = count(1)",
        "def f(a=[]): pass", "def f(*, a={}): pass", "SEEN: Final = {}\ndef f(): SEEN.setdefault(1, 2)",
        "SEEN = set()\ng = lambda: SEEN.add(1)", "made = {}\ndef f(): del made[1]",
    ],
    "asynchrony": ["async def f(): pass", "async def f(): await g()"],
    "doors_of_the_machine": [
        "import os", "from time import time", "x = __import__('time').time_ns()", "open('x')", "import uuid",
        "import importlib\nimportlib.import_module('time')", "def f():\n    import threading", "import datetime as dt",
    ],
}  # fmt: skip

INNOCENT: dict[str, list[str]] = {
    "floats": ["x = a // b", "x = 10**8", "x = '0.5'", "def f(a: int) -> int: return a"],
    "order_of_a_set": [
        "for one in sorted({1, 2}): pass", "x = sorted(one for one in {1, 2})", "x = max({1, 2})", "x = 1 in {1, 2}",
        "x = {*a, *{1, 2}}", "x = {one + 1 for one in {1, 2}}", "x = any(one for one in set(a))",
        "def f(a: set[int]): pass\ndef g(a: list[int]): return [one for one in a]", "for one in {1: 2}: pass",
    ],
    "identity": ["x = one.id", "x = row.hash", "a.pop()"],
    "state_of_a_module": [
        "made = []\ndef f():\n    made = []\n    made.append(1)", "def f(made): made.append(1)",
        "X = {1: 2}\ndef f(): return X[1]",
        "class A:\n    def f(self): self.x = 1; self.y.append(2)", "def f(a=()): pass",
    ],
    "asynchrony": ["def f(): yield 1"],
    "doors_of_the_machine": ["import numpy as np", "from gnomon.clock import iso", "book.open(1)"],
}  # fmt: skip


def _cases(of: dict[str, list[str]]) -> list[Any]:
    return [pytest.param(name, text, id=f"{name}-{i}") for name, texts in of.items() for i, text in enumerate(texts)]


@pytest.mark.parametrize(("name", "text"), _cases(FAULTS))
def test_a_planted_fault_is_caught(name: str, text: str) -> None:
    assert list(RULES[name][1](ast.parse(text)))


@pytest.mark.parametrize(("name", "text"), _cases(INNOCENT))
def test_what_only_looks_like_a_fault_passes(name: str, text: str) -> None:
    assert list(RULES[name][1](ast.parse(text))) == []


def test_every_rule_has_a_planted_fault() -> None:
    assert {*FAULTS} == {*INNOCENT} == {*RULES}
