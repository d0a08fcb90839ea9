"""The reference is complete and holds nothing that does not exist: verbs, settings, errors, routes, instruments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from gnomon import errors
from gnomon.clock import SimClock
from gnomon.settings import Settings

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    return (ROOT / "docs/reference" / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every table row whose first cell is code, without the backticks of that cell."""
    lines = (line for line in text.splitlines() if line.startswith("| `"))
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [[one.strip("` ") if i == 0 else one for i, one in enumerate(row)] for row in cells]


# --- the command line -----------------------------------------------------------------------------------------------


def verbs() -> dict[str, list[Any]]:
    """Every verb with its parameters, as the command line has them."""
    from gnomon.cli.main import app

    def leaves(command: Any, path: str) -> Iterator[tuple[str, list[Any]]]:
        for name, one in getattr(command, "commands", {}).items():
            yield from leaves(one, f"{path} {name}")
        if not hasattr(command, "commands"):
            yield path, command.params

    return dict(leaves(get_command(app), "gnomon"))


def sections(text: str) -> dict[str, str]:
    """Heading to text, of the second-level headings that are code."""
    parts = re.split(r"^## `(.+)`$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_verb_has_a_section_and_every_section_a_verb() -> None:
    assert set(sections(page("cli.md"))) == set(verbs())


@pytest.mark.parametrize("verb", verbs())
def test_the_section_of_a_verb_lists_its_options(verb: str) -> None:
    options = {one.opts[0] if one.opts[0].startswith("-") else one.name.upper() for one in verbs()[verb]}
    listed = {row[0] for row in rows(sections(page("cli.md"))[verb])}
    assert listed == options


def test_options_are_required_where_the_page_says_so() -> None:
    for verb, parameters in verbs().items():
        required = {one.opts[0] for one in parameters if one.required and one.opts[0].startswith("-")}
        said = {row[0] for row in rows(sections(page("cli.md"))[verb]) if row[1] == "required"}
        assert said == required, verb


def quoted_commands() -> Iterator[tuple[str, str]]:
    """Every command line of ours that a page, a docstring or a hint shows, with where it stands."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    for file in pages:
        text = file.read_text(encoding="utf-8")
        for command in re.findall(r"^(?:\$ )?(gnomon [^\n]+)|`(gnomon [^`\n]+)`", text, flags=re.MULTILINE):
            yield str(file.relative_to(ROOT)), command[0] or command[1]
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for command in re.findall(r"`(gnomon [^`\n]+)`", node.value):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", command


def test_every_command_that_is_quoted_exists() -> None:
    known = verbs()
    for where, command in quoted_commands():
        words = command.split()
        verb = next((name for name in known if words[: len(name.split())] == name.split()), None)
        is_known = verb or words[1] in ("--version", "--help", "VERB")
        assert is_known, f"{where} quotes `{command}`"
        if verb:
            options = {name for one in known[verb] for name in one.opts} | {"--help"}
            unknown = {word.split("=")[0] for word in words if word.startswith("--")} - options
            assert not unknown, f"{where} quotes `{command}`"


# --- settings and errors --------------------------------------------------------------------------------------------


def test_every_setting_is_listed_with_its_variables_and_its_default() -> None:
    listed = {row[0]: row[1:] for row in rows(page("settings.md"))}
    assert set(listed) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        variables, default, meaning = listed[name]
        aliases = getattr(field.validation_alias, "choices", [f"GNOMON_{name.upper()}"])
        assert re.findall(r"`(.+?)`", variables) == list(aliases)
        assert default.strip("`") == {"": "empty", "None": "none"}.get(str(field.default), str(field.default))
        assert meaning


def test_every_error_is_listed_with_its_code_and_its_status() -> None:
    from gnomon.serve.gateway.errors import STATUS

    listed = {row[0]: row[1:3] for row in rows(page("errors.md")) if len(row) == 5}
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.GnomonError)]
    assert listed == {one.__name__: [f"`{one.code}`", str(STATUS.get(one, 500))] for one in kinds}


# --- the gateway ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from gnomon.jobs.engine.memory import MemoryJobs
    from gnomon.jobs.engine.port import Handlers
    from gnomon.jobs.schedules import Schedules
    from gnomon.serve.gateway.app import WorkDoor, create_app
    from gnomon.sources.instruments import shipped_instruments
    from gnomon.store.engine import open_engine, upgrade
    from gnomon.store.schedules import ScheduleStore

    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('gateway') / 'gnomon.db'}")
    upgrade(engine)
    clock = SimClock()
    jobs = MemoryJobs(Handlers([]), clock)
    work = WorkDoor(jobs, Schedules(ScheduleStore(engine), jobs, clock))
    yield create_app(engine, shipped_instruments(), clock, work=work)
    engine.dispose()


def routes(router: Any) -> Iterator[tuple[str, set[str]]]:
    """`GET /path` of every route, those outside the schema too, with the names of its query parameters."""
    for one in router.routes:
        if hasattr(one, "original_router"):  # FastAPI's note of a router that was included
            yield from routes(one.original_router)
            continue
        query = set(queried(one.dependant)) if hasattr(one, "dependant") else set()
        for method in one.methods - {"HEAD", "OPTIONS"}:
            yield f"{method} {one.path}", query


def queried(dependant: Any) -> Iterator[str]:
    """The query parameters of a route and of what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for one in dependant.dependencies:
        yield from queried(one)


def test_every_route_is_listed_with_its_query(gateway: Any) -> None:
    listed = {row[0]: set(re.findall(r"`(\w+)`", row[1])) for row in rows(page("gateway.md")) if " /" in row[0]}
    assert listed == dict(routes(gateway))


# --- data -----------------------------------------------------------------------------------------------------------


def test_every_shipped_instrument_is_listed() -> None:
    from gnomon.sources.instruments import shipped_instruments

    listed = [row[:4] for row in rows(page("instruments.md")) if len(row) == 6]
    assert listed == [
        [one.symbol, f"`{one.id}`", one.asset_class, f"`{one.calendar}`"] for one in shipped_instruments()
    ]


def test_every_field_of_an_instrument_is_listed() -> None:
    from gnomon.market.instrument import Instrument

    listed = {row[0] for row in rows(page("instruments.md")) if len(row) == 3}
    assert listed == set(Instrument.__dataclass_fields__)


def test_every_format_is_listed() -> None:
    written = " ".join(file.read_text(encoding="utf-8") for file in (ROOT / "src/gnomon/sources/files").glob("*.py"))
    listed = {row[0] for row in rows(page("formats.md")) if len(row) == 4}
    families = r"binance|bybit|freqtrade|kronos|tardis|lean|alpha|ai|json"
    known = set(re.findall(rf'"((?:{families})-[a-z0-9-]+|csv|parquet|feather)"', written)) - {"binance-futures"}
    assert listed == known


def test_every_column_is_listed_with_its_type() -> None:
    from gnomon.market import candles, depth, quotes, trades

    def listed(heading: str) -> dict[str, str]:
        table = page("formats.md").split(f"| column of {heading}")[1].split("\n\n")[0]
        cells = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
        return {name: row[2].strip() for row in cells for name in re.findall(r"`(\w+)`", row[1])}

    for module in (candles, trades, quotes, depth):
        heading = module.__name__.rpartition(".")[2]
        assert listed(heading) == {name: str(np.dtype(kind)) for name, kind in module.COLUMNS.items()}
