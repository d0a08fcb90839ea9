"""House rules that no linter knows, each shown to catch a planted fault.

A rule reads a tree (relative path to content) and yields one complaint a fault: `path:line: what is wrong`. Layer rules
are import-linter's (`test_contracts.py`), what an import loads is `test_footprint.py`'s.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "src/gnomon/"
LARGEST_BYTES = 500_000

Tree = dict[str, bytes]
Rule = Callable[[Tree], Iterator[str]]
RULES: list[Rule] = []

ALLOWED_BINARIES: dict[str, str] = {
    # path: why it cannot be text
}

BY_FORMATS = "tests/sources/files: by the test of every format, and by test_mutation.py"
BY_CATALOG = "tests/forecast/test_baselines.py, test_baseline_acceptance.py: by their names in the catalog"
TESTED_ELSEWHERE = {
    # module of src: why it has no mirror, or where its test stands
    "__init__.py": "the face: tests/house/test_face.py",
    "_version.py": "one constant",
    "terminal.py": "tests/test_cli.py: what the verbs print",
    **dict.fromkeys(
        [
            f"cli/{name}.py"
            for name in ("__main__", "data", "forecasts", "keeping", "main", "processes", "verb", "weights", "work")
        ],
        "tests/test_cli.py: every verb, as a user calls it",
    ),
    "jobs/replay.py": "tests/cli/test_replay.py: as a user calls it",
    "jobs/labels.py": "tests/cli/test_certify.py: as a user earns and loses them",
    "jobs/sessions.py": "tests/cli/test_sessions.py: as a user calls it",
    **dict.fromkeys(
        [f"lockstep/{name}.py" for name in ("begin", "control", "places", "real")],
        "tests/test_shim.py: real clients in processes of their own",
    ),
    "replay/explain.py": "tests/cli/test_replay.py: every kind of sentence that a user sees",
    **dict.fromkeys(["replay/needs.py", "replay/wakes.py"], "tests/replay/test_notices.py: in whole runs"),
    "sources/binance/cache.py": "tests/sources/binance/test_dumps.py, through the archive",
    **dict.fromkeys(
        [f"sources/binance/{name}.py" for name in ("refusals", "rows", "symbols")],
        "tests/sources/binance/test_rest.py: answers and their faults, through the server",
    ),
    "sources/calendar/provider.py": "tests/sources/test_live.py",
    "jobs/progress.py": "a protocol, and a function that does nothing",
    "jobs/outcomes.py": "tests/jobs/test_score.py, test_calibrate.py: what forecasts are marked against",
    "jobs/kinds.py": "tests/serve/gateway/test_app.py: the kinds that a door knows",
    "jobs/engine/port.py": "protocols and messages: tests/jobs/engine/test_memory.py, test_dbos_jobs.py",
    **dict.fromkeys(
        [f"jobs/engine/{name}.py" for name in ("attempts", "dbos_engine", "dbos_json", "dbos_work", "lock", "worker")],
        "tests/jobs/engine/test_dbos_jobs.py: with real processes, killed for real",
    ),
    "sources/source.py": "protocols: tests/sources/test_recorded.py",
    **dict.fromkeys(
        [
            f"serve/venue/{name}.py"
            for name in ("exchange_info", "market_params", "market_view", "tickers", "trade_rows")
        ],
        "tests/serve/venue/test_market_data.py: answers beside loops over the tape",
    ),
    **dict.fromkeys(
        [f"serve/venue/{name}.py" for name in ("stream_events", "stream_sources")],
        "tests/serve/venue/test_streams.py: every stream, beside what REST answers",
    ),
    "serve/venue/place.py": "tests/serve/venue/test_session.py: steps, stalls and ends of real runs",
    "serve/venue/bystander.py": "tests/serve/venue/test_venue.py: markets of addresses and workspaces",
    "serve/venue/native_calls.py": "tests/serve/venue/test_lockstep.py: both ends of it, over the same run",
    "trader/pulse/care.py": "tests/clients/test_pulse_faults.py: every fault of the catalogue, over real sockets",
    "store/index_files.py": "tests/store/test_datasets.py: written, spoilt, killed, made anew",
    "store/performance.py": "tests/store/test_views.py: one of the seeds' views, beside the oracle of the others",
    **dict.fromkeys([f"forecast/baselines/{name}.py" for name in ("closed", "returns", "seasonal")], BY_CATALOG),
    **dict.fromkeys(
        [
            f"sources/files/{name}.py"
            for name in (
                *("candle_rows", "columns", "depth_rows", "faults", "layers", "messages", "named", "numbers"),
                *("quote_rows", "recognise", "rows", "tick_rows", "trade_rows"),
            )
        ],
        BY_FORMATS,
    ),
    "sources/files/unsupported.py": "tests/sources/files/test_shared_data.py: every refusal of a real file",
}

ENTRY_POINTS = {
    # modules that nobody imports: who runs them
    "gnomon": "the face",
    "gnomon.cli.__main__": "python -m gnomon.cli",
    "gnomon.jobs.executor": "sweeps and batches inside a step: docs/schedules.md",
    "gnomon.jobs.engine.memory": "tests, documentation, examples/simulated_week.py",
    "gnomon.sources.recorded": "examples/simulated_week.py",
    "gnomon.forecast.training.kronos": "examples/train_tiny_kronos.py",
    "gnomon.market.merge": "the replay of several series",
    "gnomon.exchange.naive_shorting": "tests of the exchange: the oracle of its short sales",
    "gnomon.market.synthetic_events": "tests, bench/event_encoder.py",
    "gnomon.compat.backtesting": "strategies written for backtesting.py: docs/traders.md",
    "gnomon.compat.decision": "bots written for the seed: docs/traders.md",
    **{
        f"gnomon.lockstep.{name}": "the shim, which begins it in another's process: docs/sessions.md"
        for name in ("barrier", "begin", "control", "line", "places", "real")
    },
    "gnomon.shim": "import gnomon.shim, python -m gnomon.shim",
    "gnomon.score.disagreement": "whoever asks whether the flag of an ensemble means anything",
}

COMPANIONS = {
    # imported by name though another dependency brings it: which one promises it
    "anyio": "fastapi",
    "pydantic": "pydantic-settings",
    "starlette": "fastapi",
}


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


# --- reading a tree -------------------------------------------------------------------------------------------------


@cache
def parsed(content: bytes) -> ast.Module:
    return ast.parse(content)


def pythons(tree: Tree, under: str = "") -> Iterator[tuple[str, ast.Module]]:
    for path, content in tree.items():
        if path.endswith(".py") and path.startswith(under):
            yield path, parsed(content)


def sources(tree: Tree) -> Iterator[tuple[str, ast.Module]]:
    return pythons(tree, PACKAGE)


def module_name(path: str) -> str:
    """`src/gnomon/market/tape.py` -> `gnomon.market.tape`."""
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(module: ast.Module, *, typing_too: bool = True) -> Iterator[tuple[int, str, str, bool]]:
    """Each import as (line, full name, the name it gets here, whether it stands at the top of the module)."""

    def walk(node: ast.AST, top: bool) -> Iterator[tuple[int, str, str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for one in child.names:
                    yield child.lineno, one.name, one.asname or one.name.split(".")[0], top
            elif isinstance(child, ast.ImportFrom):
                for one in child.names:
                    yield child.lineno, f"{child.module}.{one.name}", one.asname or one.name, top
            elif typing_too or not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
                yield from walk(child, top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    return walk(module, True)


def uses(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that is imported, called or passed on, in full: `dt.now` after `from datetime import datetime as dt`
    is `datetime.datetime.now`."""
    full_names = {}
    for line, full, local, _ in imports(module):
        full_names[local] = full if local != full.split(".")[0] else local
        yield line, full
    for node in ast.walk(module):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):  # a field is no use
            head, *rest = dotted(node)
            if head:
                yield node.lineno, ".".join([full_names.get(head, head), *rest])


def dotted(node: ast.expr) -> list[str]:
    """The names of `a.b.c`; the first is empty where something else stands there, as in `f().c`."""
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.append(node.attr)
        node = node.value
    return [node.id if isinstance(node, ast.Name) else "", *reversed(rest)]


def comments(content: bytes) -> Iterator[tuple[int, str]]:
    for token in tokenize.tokenize(io.BytesIO(content).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


# --- banned calls ---------------------------------------------------------------------------------------------------

BANNED = {
    # what may not be used in src: (where it may, what to do instead)
    r"datetime\.(datetime|date)\.(now|utcnow|today)": ("wallclock.py", "the clock is passed in"),
    r"time\.(time|time_ns|localtime|gmtime|ctime)": ("wallclock.py lockstep/real.py", "the clock is passed in"),
    r"pandas\.Timestamp\.(now|utcnow|today)": ("wallclock.py", "the clock is passed in"),
    r"random(\..*)?": ("", "chance.py draws by identity"),
    r"numpy\.random\.(?!Generator$|BitGenerator$).*": ("chance.py", "chance.py draws by identity"),
    r"print": ("terminal.py", "the command line prints"),
    r"eval|exec|(pickle|marshal|shelve)(\..*)?|pandas\.read_pickle": ("", "data is never code"),
}


@rule
def banned_calls(tree: Tree) -> Iterator[str]:
    for path, module in sources(tree):
        for line, name in uses(module):
            for home, instead in banned(name):
                if path not in [PACKAGE + one for one in home.split()]:
                    yield f"{path}:{line}: {name} ({instead})"


@cache
def banned(name: str) -> list[tuple[str, str]]:
    """Where a name may be used all the same, and what to do instead; nothing for one that may be used anywhere."""
    return [allowed for pattern, allowed in BANNED.items() if re.fullmatch(pattern, name)]


@rule
def machine_time_by_string(tree: Tree) -> Iterator[str]:
    for path, module in sources(tree):
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and any(
                isinstance(one, ast.Constant) and one.value in ("now", "today") for one in node.args[:1]
            ):
                yield f"{path}:{node.lineno}: {ast.unparse(node)} (the clock is passed in)"


@rule
def pickles_in_arrays(tree: Tree) -> Iterator[str]:
    for path, module in sources(tree):
        for node in ast.walk(module):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
                yield f"{path}:{node.value.lineno}: allow_pickle (data is never code)"


# --- errors ---------------------------------------------------------------------------------------------------------


@rule
def swallowed_errors(tree: Tree) -> Iterator[str]:
    for path, module in pythons(tree):
        for node in ast.walk(module):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                does_nothing = all(isinstance(one, ast.Pass) or _is_constant(one) for one in node.body)
                if not caught or (does_nothing and caught in ("Exception", "BaseException")):
                    yield f"{path}:{node.lineno}: except {caught or 'everything'} (name what may go wrong)"
            elif (
                isinstance(node, ast.Call)
                and "suppress" in dotted(node.func)
                and {"Exception", "BaseException"} & {dotted(one)[-1] for one in node.args}
            ):
                yield f"{path}:{node.lineno}: {ast.unparse(node)} (name what may go wrong)"


@rule
def assert_false(tree: Tree) -> Iterator[str]:
    for path, module in pythons(tree):
        for node in ast.walk(module):
            if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and not node.test.value:
                yield f"{path}:{node.lineno}: assert {node.test.value} (raise AssertionError: it survives -O)"


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


REASONED = {
    "noqa": r"# noqa: [A-Z]+\d+(, ?[A-Z]+\d+)* +- \w.{5,}",
    "type:": r"# type: ignore\[[\w-]+(, ?[\w-]+)*\]  # \w.{5,}",
    "ruff:": r"(?!)",  # never for a whole file
    "mypy:": r"(?!)",
}


@rule
def silenced_checks_without_reason(tree: Tree) -> Iterator[str]:
    for path, content in tree.items():
        if path.endswith(".py") and any(mark.encode() in content for mark in REASONED):
            for line, comment in comments(content):
                for mark, form in REASONED.items():
                    if re.match(rf"#\s*{mark}", comment) and not re.fullmatch(form, comment):
                        yield f"{path}:{line}: {comment} (write the code and the reason)"


# --- shape ----------------------------------------------------------------------------------------------------------

NOT_NOUNS = {
    *("util", "utils", "helper", "helpers", "common", "core", "base", "misc", "manager", "managers", "interface"),
    *("interfaces", "service", "services", "model", "models", "schema", "schemas", "backtest", "telemetry"),
    *("repository", "repositories", "event_bus"),
}
NOT_ENDINGS = re.compile(r".*_(utils?|helpers?|managers?|misc|common)")


@rule
def names_that_say_nothing(tree: Tree) -> Iterator[str]:
    for path, _ in sources(tree):
        for part in Path(path.removeprefix(PACKAGE)).with_suffix("").parts:
            # `model` is a noun in the anatomy of a neural model alone (STYLE 5)
            is_anatomy = part == "model" and re.search(r"/forecast/(kronos|chronos2)/", path)
            if (part in NOT_NOUNS or NOT_ENDINGS.fullmatch(part)) and not is_anatomy:
                yield f"{path}: {part} (one module, one noun)"


FACES = {"__init__.py", "forecast/kronos/__init__.py"}  # resolve names when they are asked for


@rule
def inner_init_that_does_something(tree: Tree) -> Iterator[str]:
    for path, module in sources(tree):
        is_inner = path.endswith("/__init__.py") and path.removeprefix(PACKAGE) not in FACES
        if is_inner and (len(module.body) != 1 or not _is_constant(module.body[0])):
            yield f"{path}: inner __init__ files hold a docstring only"


@rule
def module_without_docstring(tree: Tree) -> Iterator[str]:
    for path, module in pythons(tree):
        if not ast.get_docstring(module):
            yield f"{path}: no docstring (say in a sentence what the module is)"


@rule
def face_used_inside(tree: Tree) -> Iterator[str]:
    """The face imports everything; a module that imports the face would depend on everything."""
    modules = {module_name(path) for path, _ in sources(tree)}
    for path, module in sources(tree):
        for line, full, _, _ in imports(module):
            if full == "gnomon" or (full.count(".") == 1 and full.startswith("gnomon.") and full not in modules):
                yield f"{path}:{line}: {full} (import it from its own module)"


# --- dependencies ---------------------------------------------------------------------------------------------------


@cache
def declared() -> tuple[frozenset[str], frozenset[str]]:
    """Distributions of the base install, and of the extras that are not for developers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def names(rows: list[str]) -> frozenset[str]:
        return frozenset(re.split(r"[^\w.-]", row)[0].lower().replace("_", "-") for row in rows)

    return names(project["dependencies"]), names([row for key in extras if key != "dev" for row in extras[key]])


installed = cache(packages_distributions)


@cache
def providers(package: str) -> frozenset[str]:
    """The distributions that bring a package; its own name where none is installed."""
    return frozenset(one.lower().replace("_", "-") for one in installed().get(package, [package]))


@rule
def undeclared_dependencies(tree: Tree) -> Iterator[str]:
    base, extras = declared()
    for path, module in sources(tree):
        for line, full, _, at_top in imports(module, typing_too=False):
            head = full.split(".")[0]
            if head in sys.stdlib_module_names or head == "gnomon":
                continue
            names = providers(head) | {COMPANIONS.get(head, "")}
            is_neural = path.removeprefix(PACKAGE).startswith(NEURAL) and head in NETWORKS
            if not names & (base | extras if is_neural or not at_top else base):
                yield f"{path}:{line}: {head} (not in the base install: declare it, or import an extra in the function)"


PURE = ("errors.py", "units.py", "clock.py", "chance.py", "market/", "forecast/", "exchange/", "replay/", "score/")
NEURAL = ("forecast/kronos/", "forecast/training/")  # loaded where inference or training happens: test_footprint.py
NETWORKS = {"torch", "safetensors", "numba", "llvmlite"}
LEARNS = {
    # inside a function, from an extra
    "forecast/meta.py": "lightgbm",
    "forecast/kronos/bars.py": "pandas",  # the frames of a caller
    "forecast/kronos/hub.py": "huggingface_hub",  # downloads, when they are asked for
}


@rule
def more_than_numpy_in_pure_packages(tree: Tree) -> Iterator[str]:
    for path, module in sources(tree):
        if path.removeprefix(PACKAGE).startswith(PURE):
            for line, full, _, _ in imports(module, typing_too=False):
                own = {LEARNS.get(path.removeprefix(PACKAGE), "numpy")}
                own |= NETWORKS if path.removeprefix(PACKAGE).startswith(NEURAL) else set()
                if full.split(".")[0] not in sys.stdlib_module_names | {"gnomon", "numpy"} | own:
                    yield f"{path}:{line}: {full} (NumPy alone)"


# --- handlers of jobs -------------------------------------------------------------------------------------------------

HANDLERS = re.compile(r"src/gnomon/jobs/\w+\.py")
STEPS = {"step", "each", "tx"}
OUTSIDE_A_STEP = (
    # what a handler may not call in its body: there it happens again whenever the job is taken up
    r"(?!work\.).*\bnow_ns|(.*\.)?WallClock",  # `work.now_ns()` is kept as a step
    r"(time|random|secrets|uuid|socket|subprocess|tempfile|shutil|urllib|requests|httpx|glob)\..*",
    r"os\.(?!path\.(join|basename|dirname)$).*",
    r"datetime\.(datetime|date)\..*|numpy\.random\..*|pathlib\.Path\.(home|cwd)",
    r"open|io\.open|input",
    r".*\.(open|exists|is_file|is_dir|stat|iterdir|r?glob|unlink|mkdir|touch|rename|read_text|read_bytes|write_text|write_bytes)",
    r"gnomon\.store\.engine\.(reading|writing|joined)",
)


@rule
def handler_that_is_not_deterministic(tree: Tree) -> Iterator[str]:
    """In `jobs/*.py` a function with a parameter of type `Work` is a handler. What it calls in its body is called again
    whenever the job is taken up, so the clock, chance, the network and files belong into its steps: the lambdas and
    inner functions that it hands to `work.step`, `work.each` or `work.tx`."""
    for path, module in sources(tree):
        if HANDLERS.fullmatch(path):
            full_names = {local: full for _, full, local, _ in imports(module)}
            for node in ast.walk(module):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (work := work_parameter(node)):
                    for call in calls_outside_steps(node, work):
                        name = called(call, full_names, work)
                        if any(re.fullmatch(pattern, name) for pattern in OUTSIDE_A_STEP):
                            yield f"{path}:{call.lineno}: {ast.unparse(call.func)} (in a handler: make it a step)"


def work_parameter(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The name of the parameter that is annotated `Work`; empty for a function that is no handler."""
    arguments = function.args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if one.annotation is not None and ast.unparse(one.annotation).strip("'\"").split(".")[-1] == "Work":
            return one.arg
    return ""


def called(call: ast.Call, full_names: dict[str, str], work: str) -> str:
    """The name that is called, in full; what is called on something computed begins with a dot."""
    head, *rest = re.sub(r"\(.*\)|\[.*\]", "", ast.unparse(call.func), flags=re.DOTALL).split(".")
    return ".".join(["work" if head == work else full_names.get(head, head), *rest])


def calls_outside_steps(function: ast.FunctionDef | ast.AsyncFunctionDef, work: str) -> list[ast.Call]:
    """The calls that running the body makes. Lambdas and inner functions count where they are called or handed to
    anything but a step."""
    inner = {one.name: one for one in ast.walk(function) if isinstance(one, ast.FunctionDef) and one is not function}
    found: list[ast.Call] = []
    entered: set[str] = set()

    def visit(node: ast.AST, *, in_step: bool = False) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (in_step and isinstance(node, ast.Lambda)):
            return
        if isinstance(node, ast.Name) and node.id in inner and node.id not in entered and not in_step:
            entered.add(node.id)
            for statement in inner[node.id].body:
                visit(statement)
        if not isinstance(node, ast.Call):
            for child in ast.iter_child_nodes(node):
                visit(child)
            return
        found.append(node)
        is_step = ast.unparse(node.func) in {f"{work}.{verb}" for verb in STEPS}
        binds = in_step and ast.unparse(node.func) in ("partial", "functools.partial")
        visit(node.func)
        for one in (*node.args, *(keyword.value for keyword in node.keywords)):
            visit(one, in_step=is_step or binds)

    for statement in function.body:
        visit(statement)
    return found


# --- the whole tree -------------------------------------------------------------------------------------------------


@rule
def module_without_test(tree: Tree) -> Iterator[str]:
    """`market/tape.py` has `tests/market/test_tape.py`, or another test of `tests/market` imports it by name. One of an
    inner package may be imported by the package's test: `forecast/baselines/closed.py` by `forecast/test_baselines.py`.
    """
    for path, _ in sources(tree):
        name = path.removeprefix(PACKAGE)
        if name in TESTED_ELSEWHERE or "/migrations/" in name or name.endswith("/__init__.py"):
            continue
        folder, _, file = f"tests/{name}".rpartition("/")
        outer, _, inner = folder.rpartition("/")
        near = [one for one in tree if one.startswith(f"{folder}/test_") or one == f"{outer}/test_{inner}.py"]
        if f"{folder}/test_{file}" not in near and not any(imports_module(tree[one], path) for one in near):
            yield f"{path}: no {folder}/test_{file} (write it, or say in TESTED_ELSEWHERE where the test stands)"


def imports_module(content: bytes, path: str) -> bool:
    name = module_name(path)
    return any(name in (full, full.rpartition(".")[0]) for _, full, _, _ in imports(parsed(content)))


@rule
def dead_modules(tree: Tree) -> Iterator[str]:
    """Modules that no entry point reaches by imports, at the top or in a function."""
    modules = {module_name(path): module for path, module in sources(tree) if "/migrations/" not in path}
    alive: set[str] = set()
    waiting = [name for name in ENTRY_POINTS if name in modules]
    while waiting:
        name = waiting.pop()
        if name not in alive:
            alive.add(name)
            for _, full, _, _ in imports(modules[name]):
                waiting += [one for one in (full, full.rpartition(".")[0]) if one in modules]
    packages = {module_name(path) for path in tree if path.endswith("/__init__.py")}
    for name in sorted(set(modules) - alive - packages):
        yield f"{name}: nobody imports it (remove it, or say in ENTRY_POINTS who runs it)"


@rule
def large_or_binary_files(tree: Tree) -> Iterator[str]:
    for path, content in tree.items():
        if len(content) > LARGEST_BYTES:
            yield f"{path}: {len(content):,} bytes (at most {LARGEST_BYTES:,}: make it in the test, or keep it outside)"
        if b"\0" in content[:8000] and path not in ALLOWED_BINARIES:
            yield f"{path}: binary (make it in the test, or say in ALLOWED_BINARIES why it cannot be text)"


ELSEWHERE = {
    # brackets keep these patterns from finding themselves
    r"(?<![\w.~-])/(?:ro[o]t|ho[m]e/\w+|Us[e]rs/\w+|wo[r]k)(?![\w-])": "a path of one machine",
    r"py[p]i\.org|pythonho[s]ted\.org|np[m]js\.(?:org|com)|regist[r]y\.yarnpkg|cra[t]es\.io|conda\.ana[c]onda": (
        "a package index"
    ),
    r"docker\.i[o]/|gh[c]r\.io|qu[a]y\.io|g[c]r\.io|download\.pyt[o]rch\.org": "a registry",
    r"--(?:extra-)?inde[x]-url|--trusted-ho[s]t": "a package index",
}


@rule
def other_places(tree: Tree) -> Iterator[str]:
    for path, content in tree.items():
        text = content.decode("utf-8", "replace")
        for pattern, what in ELSEWHERE.items():
            for found in re.finditer(pattern, text):
                yield f"{path}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]} ({what})"


# --- the tests ------------------------------------------------------------------------------------------------------


NOT_OURS = {".venv", ".git", "site", "dist", "build", ".demo", "__pycache__"}


def listed() -> list[str]:
    """Every path that is tracked or would be; in an unpacked archive, every path that `make` did not make."""
    if not (ROOT / ".git").exists():
        paths = (file.relative_to(ROOT) for file in ROOT.rglob("*"))
        return [one.as_posix() for one in paths if not any(part in NOT_OURS or "cache" in part for part in one.parts)]
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600).stdout.split("\0")


@pytest.fixture(scope="module")
def tree() -> Tree:
    return {name: (ROOT / name).read_bytes() for name in listed() if (ROOT / name).is_file()}


@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_the_tree_keeps_the_rule(check: Rule, tree: Tree) -> None:
    complaints = list(check(tree))
    assert not complaints, "\n" + "\n".join(complaints)


def test_the_lists_of_exceptions_name_files_that_exist(tree: Tree) -> None:
    modules = {module_name(path) for path in tree if path.startswith(PACKAGE)}
    assert {PACKAGE + name for name in TESTED_ELSEWHERE} | set(ALLOWED_BINARIES) <= set(tree)
    assert set(ENTRY_POINTS) <= modules
    mirrors = {"tests/" + re.sub(r"([^/]+)$", r"test_\1", name) for name in TESTED_ELSEWHERE}
    assert not mirrors & set(tree), "these have their own test by now"


SRC = PACKAGE + "planted.py"
FAULTS: list[tuple[Rule, str, str | bytes]] = [
    (banned_calls, SRC, "from datetime import datetime as dt\ndt.now()"),
    (banned_calls, SRC, "import datetime\ndatetime.datetime.utcnow()"),
    (banned_calls, SRC, "from datetime import date\ndate.today()"),
    (banned_calls, SRC, "import time\ntime.time()"),
    (banned_calls, SRC, "from time import time_ns"),
    (banned_calls, SRC, "import time\nfield(default_factory=time.time)"),
    (banned_calls, SRC, "import pandas as pd\npd.Timestamp.now()"),
    (banned_calls, SRC, "import random"),
    (banned_calls, SRC, "from random import gauss"),
    (banned_calls, SRC, "import numpy as np\nnp.random.seed(1)"),
    (banned_calls, SRC, "import numpy as np\nnp.random.default_rng()"),
    (banned_calls, SRC, "from numpy.random import normal"),
    (banned_calls, SRC, "print('x')"),
    (banned_calls, SRC, "eval('1')"),
    (banned_calls, SRC, "exec('1')"),
    (banned_calls, SRC, "def load():\n    import pickle"),
    (banned_calls, PACKAGE + "wallclock.py", "import random"),
    (machine_time_by_string, SRC, "import numpy as np\nnp.datetime64('now')"),
    (machine_time_by_string, SRC, "import pandas as pd\npd.Timestamp('today')"),
    (pickles_in_arrays, SRC, "np.load(file, allow_pickle=True)"),
    (swallowed_errors, "tests/planted.py", "try:\n    x\nexcept:\n    y"),
    (swallowed_errors, SRC, "try:\n    x\nexcept Exception:\n    pass"),
    (swallowed_errors, SRC, "try:\n    x\nexcept BaseException:\n    ..."),
    (swallowed_errors, SRC, "import contextlib\nwith contextlib.suppress(Exception):\n    x"),
    (assert_false, "bench/planted.py", "assert False, 'no'"),
    (assert_false, SRC, "assert 0"),
    (silenced_checks_without_reason, SRC, "x = 1  # noqa"),
    (silenced_checks_without_reason, SRC, "x = 1  # noqa: F401"),
    (silenced_checks_without_reason, SRC, "x = 1  #noqa - it is nicer so"),
    (silenced_checks_without_reason, SRC, "x = 1  # type: ignore"),
    (silenced_checks_without_reason, SRC, "x = 1  # type: ignore[misc]"),
    (silenced_checks_without_reason, SRC, "x = 1  # type: ignore  # the stub is wrong"),
    (silenced_checks_without_reason, "tests/planted.py", "# ruff: noqa"),
    (silenced_checks_without_reason, SRC, "# mypy: ignore-errors"),
    (names_that_say_nothing, PACKAGE + "market/utils.py", ""),
    (names_that_say_nothing, PACKAGE + "core/tape.py", ""),
    (names_that_say_nothing, PACKAGE + "store/session_manager.py", ""),
    (names_that_say_nothing, PACKAGE + "forecast/model.py", ""),
    (inner_init_that_does_something, PACKAGE + "market/__init__.py", '"""Doc."""\nfrom x import y'),
    (inner_init_that_does_something, PACKAGE + "market/__init__.py", ""),
    (module_without_docstring, SRC, "x = 1"),
    (module_without_docstring, PACKAGE + "market/__init__.py", ""),
    (face_used_inside, SRC, "from gnomon import Candles"),
    (face_used_inside, SRC, "def f():\n    import gnomon"),
    (undeclared_dependencies, SRC, "import scipy"),
    (undeclared_dependencies, SRC, "def f():\n    from hypothesis import given"),
    (undeclared_dependencies, SRC, "import torch"),
    (undeclared_dependencies, SRC, "try:\n    import surely_not_installed\nexcept ImportError:\n    x = None"),
    (more_than_numpy_in_pure_packages, PACKAGE + "score/planted.py", "def f():\n    import pandas"),
    (module_without_test, SRC, ""),
    (dead_modules, SRC, ""),
    *(
        (handler_that_is_not_deterministic, PACKAGE + "jobs/planted.py", f"{top}\n\ndef run(work: Work):\n{body}")
        for top, body in (
            ("", "    clock.now_ns()"),
            ("", "    x = self._clock.now_ns()"),
            ("from gnomon.wallclock import WallClock", "    WallClock()"),
            ("import time", "    time.monotonic()"),
            ("from time import sleep", "    sleep(1)"),
            ("from datetime import datetime as dt", "    dt.fromtimestamp(0)"),
            ("import numpy as np", "    np.random.Philox()"),
            ("import os", "    os.environ.get('X')"),
            ("import httpx", "    with httpx.Client() as c: pass"),
            ("", "    open('x')"),
            ("", "    for row in Path('x').read_text(): pass"),
            ("", "    (folder / 'x').mkdir()"),
            ("from gnomon.store.engine import reading", "    with reading(engine) as c: pass"),
            ("", "    work.step('a', f, clock.now_ns())"),
            ("", "    work.step('a', lambda: 1)\n    clock.now_ns()"),
            ("", "    def late(): return clock.now_ns()\n    late()"),
            ("", "    def late(): return clock.now_ns()\n    sorted(rows, key=late)"),
            ("", "    sorted(rows, key=lambda one: clock.now_ns())"),
            ("", "    (lambda: clock.now_ns())()"),
            ("", "    work.child('a', open('x').read(), {})"),
        )
    ),
    (handler_that_is_not_deterministic, PACKAGE + "jobs/planted.py", "def run(a, *, w: 'port.Work'): clock.now_ns()"),
    (
        handler_that_is_not_deterministic,
        PACKAGE + "jobs/planted.py",
        "def handler(clock):\n    def run(work: Work):\n        clock.now_ns()\n    return run",
    ),
    (large_or_binary_files, "data.csv", b"1" * (LARGEST_BYTES + 1)),
    (large_or_binary_files, "picture.png", b"\x89PNG\0"),
    (other_places, "docs/planted.md", "see /ro" + "ot/gnomon"),
    (other_places, "Makefile", "cp x '/ho" + "me/ada/x'"),
    (other_places, "docs/planted.md", "cd /wo" + "rk/main"),
    (other_places, "requirements/lock.txt", "--extra-inde" + "x-url x"),
    (other_places, "requirements/lock.txt", "https://files.pythonho" + "sted.org/x"),
    (other_places, "package-lock.json", "https://registry.np" + "mjs.org/x"),
]

INNOCENT: list[tuple[Rule, str, str]] = [
    (banned_calls, PACKAGE + "wallclock.py", "import time\ntime.time_ns()"),
    (banned_calls, PACKAGE + "terminal.py", "print('x')"),
    (banned_calls, PACKAGE + "chance.py", "import numpy as np\nnp.random.Philox(1)"),
    (banned_calls, SRC, "import numpy as np\ndef f(g: np.random.Generator): g.random()"),
    (banned_calls, SRC, "import time\ntime.monotonic()"),
    (banned_calls, SRC, "class Fill:\n    print: int = 0"),
    (banned_calls, SRC, "row.time()\nself.print()\nmodel.eval()"),
    (banned_calls, SRC, "import gnomon.market.random_walk as walk\nwalk.random()"),
    (swallowed_errors, SRC, "try:\n    x\nexcept KeyError:\n    pass"),
    (swallowed_errors, SRC, "try:\n    x\nexcept Exception as error:\n    report(error)"),
    (silenced_checks_without_reason, SRC, "x = 1  # noqa: F401 - the name is a fixture"),
    (silenced_checks_without_reason, SRC, "x = 1  # type: ignore[misc]  # the stub is wrong"),
    (silenced_checks_without_reason, SRC, 'x = "# noqa"'),
    (names_that_say_nothing, PACKAGE + "forecast/kronos/model.py", ""),
    (names_that_say_nothing, PACKAGE + "market/base_price.py", ""),
    (inner_init_that_does_something, PACKAGE + "market/__init__.py", '"""Doc."""'),
    (face_used_inside, SRC, "from gnomon.errors import Invalid\nimport gnomon.planted"),
    (undeclared_dependencies, SRC, "import numpy as np\nimport starlette.responses\nfrom os import path"),
    (undeclared_dependencies, SRC, "def f():\n    import torch\n    import psycopg"),
    (undeclared_dependencies, SRC, "if TYPE_CHECKING:\n    import scipy"),
    *(
        (handler_that_is_not_deterministic, PACKAGE + "jobs/planted.py", f"def run(work: Work):\n    {body}")
        for body in (
            "work.now_ns()",
            "if work.now_ns() > work.due_ns: work.step('late', clock.now_ns)",
            "work.step('a', lambda: clock.now_ns())",
            "work.each('a', rows, lambda row: open(row).read(), parallel=2)",
            "work.tx('a', partial(lambda c: clock.now_ns(), 1))",
            "tick = Tick(store, clock)\n    work.step('a', tick.now_ns)",
            "def read(): return Path('x').read_text()\n    work.step('a', read)",
            "def read(): return Path('x').read_text()\n    work.step('a', functools.partial(read, 1))",
            "name = os.path.join('a', work.key)",
        )
    ),
    (handler_that_is_not_deterministic, PACKAGE + "jobs/planted.py", "def fetch(clock): clock.now_ns()"),
    (handler_that_is_not_deterministic, PACKAGE + "jobs/engine/planted.py", "def run(work: Work): clock.now_ns()"),
    (other_places, "docs/planted.md", "~/.gnomon, /var/lib/gnomon, https://example.org/root, a/work/b, /workers"),
]


@pytest.mark.parametrize(
    ("check", "path", "content"), [pytest.param(*one, id=f"{one[0].__name__}-{i}") for i, one in enumerate(FAULTS)]
)
def test_a_planted_fault_is_caught(check: Rule, path: str, content: str | bytes) -> None:
    complaints = list(check({path: content if isinstance(content, bytes) else content.encode()}))
    assert complaints


@pytest.mark.parametrize(
    ("check", "path", "content"), [pytest.param(*one, id=f"{one[0].__name__}-{i}") for i, one in enumerate(INNOCENT)]
)
def test_what_only_looks_like_a_fault_passes(check: Rule, path: str, content: str) -> None:
    assert list(check({path: content.encode()})) == []


def test_every_rule_has_a_planted_fault() -> None:
    assert {check.__name__ for check, _, _ in FAULTS} == {check.__name__ for check in RULES}


def test_the_test_of_an_inner_package_must_import_the_module() -> None:
    tree = {PACKAGE + "forecast/baselines/planted.py": b"", "tests/forecast/test_baselines.py": b"import gnomon"}
    assert list(module_without_test(tree))
    tree["tests/forecast/test_baselines.py"] = b"from gnomon.forecast.baselines.planted_too import EWMA"
    assert list(module_without_test(tree))
    tree["tests/forecast/baselines/test_planted.py"] = b""
    assert not list(module_without_test(tree))
    del tree["tests/forecast/baselines/test_planted.py"]
    tree["tests/forecast/test_baselines.py"] = b"from gnomon.forecast.baselines.planted import EWMA"
    assert not list(module_without_test(tree))


def test_modules_are_alive_by_an_import_inside_a_function() -> None:
    verb = "def verb():\n    from gnomon.market import tape"
    modules = {"cli/__main__.py": verb, "market/tape.py": "", "market/lost.py": ""}
    complaints = list(dead_modules({PACKAGE + name: text.encode() for name, text in modules.items()}))
    assert [one.split(":")[0] for one in complaints] == ["gnomon.market.lost"]
