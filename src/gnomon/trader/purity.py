"""Purity: a strategy has the desk and nothing else. The clock, chance, files, the network and threads are refused.

Two nets. The lint reads the strategy's source before a run: the class, its ancestors in the same module, and the
functions and classes of the module that they name. The guard makes the doors themselves refuse while a run lasts:
installed once around it, so that hooks which stay inside pay nothing. A door looks at who knocks: the nearest caller
that is neither a library nor gnomon's own machinery decides.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any, Final

from gnomon.errors import Refused

CLOCK: Final = "use desk.now"
CHANCE: Final = "use desk.rng(name)"
DATA: Final = "use the desk: a strategy sees what the session shows"
ONE_THREAD: Final = "hooks run one at a time: leave it to the runtime"

FORBIDDEN: Final = {
    # full names, and what to do instead
    r"time(\..*)?": CLOCK,
    r"datetime\.(datetime|date)\.(now|utcnow|today)": CLOCK,
    r"(numpy\.datetime64|pandas\.Timestamp)\.(now|today|utcnow)": CLOCK,
    r"random(\..*)?|secrets(\..*)?|uuid\.uuid[14]": CHANCE,
    r"numpy\.random\..*": CHANCE,
    r"os\.(environ.*|getenv|urandom|open|popen|system|fork|listdir|scandir)|subprocess(\..*)?": DATA,
    r"(socket|ssl|http|urllib|requests|httpx|aiohttp|websockets|ftplib|smtplib)(\..*)?": DATA,
    r"open|input|io\.open|shelve(\..*)?|sqlite3(\..*)?": DATA,
    r"pathlib\.Path(\..*)?|tempfile(\..*)?|shutil(\..*)?": DATA,
    r"(threading|multiprocessing|asyncio|concurrent|_thread|signal)(\..*)?": ONE_THREAD,
    r"(eval|exec|compile|__import__|importlib(\..*)?)": DATA,
}

DOORS: Final = {
    # module: attributes that refuse while a guard is up, and what to do instead
    "time": (("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
              "process_time_ns", "sleep", "localtime", "gmtime", "ctime", "strftime"), CLOCK),
    "random": (("random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss",
                "normalvariate", "seed", "getrandbits"), CHANCE),
    "numpy.random": (("random", "rand", "randn", "randint", "normal", "uniform", "choice", "shuffle", "permutation",
                      "seed", "default_rng", "standard_normal"), CHANCE),
    "secrets": (("token_bytes", "token_hex", "randbelow", "choice"), CHANCE),
    "uuid": (("uuid1", "uuid4"), CHANCE),
    "os": (("getenv", "urandom", "open", "system", "popen", "listdir", "scandir", "fork"), DATA),
    "builtins": (("open", "input"), DATA),
    "io": (("open",), DATA),
    "socket": (("socket.connect", "socket.bind", "create_connection", "getaddrinfo"), DATA),
    "subprocess": (("Popen.__init__",), DATA),
    "_thread": (("start_new_thread",), ONE_THREAD),
    "threading": (("Thread.start",), ONE_THREAD),
}  # fmt: skip

STANDARD: Final = frozenset(sys.stdlib_module_names)

MACHINERY: Final = re.compile(r"gnomon(?!\.trader\.strategies\.)(\..*)?")
"""Modules of our own that may open doors: the tape is a file, the journal too. Shipped strategies are strategies."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One forbidden use: where, what, and what to do instead."""

    line: int
    name: str
    instead: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.name} ({self.instead})"


def lint(source: str, name: str | None = None) -> list[Finding]:
    """Forbidden uses in a module; with `name` in that class or function and in what it names of the module."""
    module = ast.parse(source)
    full_names = _imported(module)
    parts = [module] if name is None else list(_reachable(module, name))
    found = {
        (line, full): instead
        for part in parts
        for line, full in _uses(part, full_names)
        for pattern, instead in FORBIDDEN.items()
        if re.fullmatch(pattern, full)
    }
    return [Finding(line, full, instead) for (line, full), instead in sorted(found.items())]


def check(kind: type[Any]) -> None:
    """`Refused` when the source of a strategy uses what it may not; nothing where there is no source to read."""
    try:
        module = inspect.getmodule(kind)
        source = inspect.getsource(module) if module is not None and _is_at_top(kind) else _own_source(kind)
    except (OSError, TypeError):
        return
    findings = lint(source, kind.__name__)
    if findings:
        raise Refused(
            f"{kind.__qualname__} leaves the desk: {'; '.join(map(str, findings[:3]))}",
            hint=findings[0].instead,
            detail={"kind": "purity", "findings": [str(one) for one in findings]},
        )


def _is_at_top(kind: type[Any]) -> bool:
    return "<locals>" not in kind.__qualname__


def _own_source(kind: type[Any]) -> str:
    """A class made inside a function: the imports of its module, and its own text at its own lines."""
    lines, first = inspect.getsourcelines(kind)
    module = inspect.getmodule(kind)
    top = ast.parse(inspect.getsource(module)).body if module is not None else []
    kept = [ast.unparse(one) for one in top if isinstance(one, ast.Import | ast.ImportFrom)]
    kept = [one for one in kept if "__future__" not in one]
    head = "; ".join(kept)
    return head + "\n" * max(1, first - 1) + textwrap.dedent("".join(lines))


def _imported(module: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for one in node.names:
                names[one.asname or one.name.split(".")[0]] = one.name if one.asname else one.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                names[one.asname or one.name] = f"{node.module}.{one.name}"
    return names


def _reachable(module: ast.Module, name: str) -> Iterator[ast.AST]:
    """The definition of a name, and those of the module's names that it uses, and so on."""
    defined = {
        one.name: one for one in module.body if isinstance(one, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }
    waiting, done = [name], set[str]()
    while waiting:
        one = waiting.pop()
        if one in done or one not in defined:
            continue
        done.add(one)
        yield defined[one]
        waiting += [node.id for node in ast.walk(defined[one]) if isinstance(node, ast.Name)]


def _uses(part: ast.AST, full_names: dict[str, str], own: frozenset[str] = frozenset()) -> Iterator[tuple[int, str]]:
    """(line, full name) of whatever is read and not a variable of the function that reads it."""
    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        own |= {node.arg for node in ast.walk(part) if isinstance(node, ast.arg)}
        own |= {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if isinstance(part, ast.Name | ast.Attribute):
        head, *rest = ast.unparse(part).split(".")
        if all(one.isidentifier() for one in (head, *rest)):
            is_known = head in full_names or head not in STANDARD  # else it is a variable of somebody's
            if head not in own and is_known:
                yield part.lineno, ".".join([full_names.get(head, head), *rest])
            return
    for child in ast.iter_child_nodes(part):
        yield from _uses(child, full_names, own)


@contextmanager
def guard() -> Iterator[None]:
    """While it lasts, clock, chance, files, network and threads raise `Refused` for a strategy that calls them."""
    kept: list[tuple[Any, str, Any]] = []
    try:
        for module_name, (paths, instead) in DOORS.items():
            module = import_module(module_name)  # NumPy brings some of its own only when they are asked for
            for path in paths:
                outer, _, attribute = path.rpartition(".")
                owner: Any = module
                owner = getattr(owner, outer) if outer else owner
                original = getattr(owner, attribute, None)
                if original is not None:
                    kept.append((owner, attribute, original))
                    setattr(owner, attribute, _closed(f"{module_name}.{path}", original, instead))
        yield
    finally:
        for owner, attribute, original in reversed(kept):
            setattr(owner, attribute, original)


def _closed(name: str, original: Callable[..., Any], instead: str) -> Callable[..., Any]:
    def door(*arguments: Any, **named: Any) -> Any:
        if _is_strategy(sys._getframe(1)):
            raise Refused(f"{name} inside a hook", hint=instead, detail={"kind": "purity", "name": name})
        return original(*arguments, **named)

    return door


def _is_strategy(frame: FrameType | None) -> bool:
    """Whether the call comes from a trader's code: ours and the libraries' frames are walked past up to the first that
    is ours (which may) or a trader's (which may not)."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if MACHINERY.fullmatch(module):
            return False
        if not _is_library(module, frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def _is_library(module: str, file: str) -> bool:
    head = module.split(".")[0]  # none: text that somebody executes, who is its caller
    return not head or head in STANDARD or "site-packages" in file or file.startswith("<frozen")
