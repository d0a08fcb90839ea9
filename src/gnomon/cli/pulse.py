"""Verbs of the runtime beside a bot: pulse run, pulse check, pulse strategies.

Exit codes of `run` and `check`: 0 done, 1 the strategy, 2 the configuration, 3 the key, 4 the venue is not there.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gnomon.cli.verb import Json, app, verb
from gnomon.errors import GnomonError
from gnomon.terminal import say, show_json

if TYPE_CHECKING:
    from gnomon.trader.pulse.config import Config

pulse = typer.Typer(help="A strategy on the wire: the runtime beside a bot.", no_args_is_help=True)
app.add_typer(pulse, name="pulse")

ConfigFile = Annotated[Path | None, typer.Option("--config", help="JSON or TOML; a manifest too.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, over everything; may be repeated.")]
MeansIt = Annotated[bool, typer.Option("--i-mean-it", help="Allow the host of an exchange that trades real money.")]

LOG: Final = logging.getLogger("gnomon.pulse")


@pulse.command("run")
def run(config: ConfigFile = None, given: Set = None, i_mean_it: MeansIt = False, as_json: Json = False) -> None:
    """Run a strategy against a venue until its session ends, or SIGTERM."""
    from gnomon.trader.pulse.runner import Runner
    from gnomon.wallclock import WallClock

    found = _loaded(config, given, i_mean_it, as_json)
    stop = threading.Event()
    before = {one: signal.signal(one, lambda *_: stop.set()) for one in (signal.SIGTERM, signal.SIGINT)}
    file = _log_to_file(found)
    try:
        instance = f"{platform.node()}/{os.getpid()}"
        ended = Runner(found, WallClock(), stop.wait, stop.is_set, _tell, instance=instance).run()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if ended.error is not None and ended.exit == 1:
        LOG.error("the strategy has failed", exc_info=ended.error)
    if file is not None:
        LOG.removeHandler(file)
        file.close()
    if as_json:
        show_json(ended.document)
    else:
        _say_ended(ended.document, ended.error)
    raise typer.Exit(ended.exit)


@pulse.command("check")
def check(config: ConfigFile = None, given: Set = None, i_mean_it: MeansIt = False, as_json: Json = False) -> None:
    """Read the configuration and build the strategy; nothing is connected."""
    from gnomon.trader.pulse import strategies
    from gnomon.trader.pulse.runner import exit_of

    found = _loaded(config, given, i_mean_it, as_json)
    try:
        strategy = strategies.load(found.strategy_name, found.strategy, found.strategy_paths)
    except GnomonError as error:
        _refuse(error, exit_of(error), as_json)
    document = {**found.document(), "fingerprint": strategies.fingerprint(found.strategy_name, strategy)}
    document |= {"warnings": list(found.warnings), "hooks": strategy.document()}
    if as_json:
        show_json(document)
    else:
        say(f"{found.strategy_name} is ready for {found.run.base_url}", *_lines(document))


@pulse.command("strategies")
@verb
def strategies_(as_json: Json = False) -> None:
    """The strategies that are built in."""
    from gnomon.trader import params
    from gnomon.trader.strategies import catalog

    rows = [
        {"name": name, "params": params.document(catalog.strategy(name).params)} for name in catalog.names()
    ]  # fmt: skip
    if as_json:
        show_json({"strategies": rows})
    else:
        say(*(f"{row['name']}: {_words(row['params'])}" for row in rows))


def _loaded(path: Path | None, given: list[str] | None, means_it: bool, as_json: bool) -> Config:
    from gnomon.trader.pulse.config import load
    from gnomon.trader.pulse.runner import exit_of

    try:
        found = load(path, os.environ, given or (), means_it=means_it)
    except GnomonError as error:
        _refuse(error, exit_of(error), as_json)
    for one in found.warnings:
        _tell(f"warning: {one}")
    return found


def _refuse(error: GnomonError, code: int, as_json: bool) -> Any:
    if as_json:
        show_json({"exit": code, **error.document()})
    else:
        say(f"{error.code.replace('_', ' ')}: {error.message}", *([f"hint: {error.hint}"] if error.hint else []))
    raise typer.Exit(code)


def _log_to_file(config: Config) -> logging.Handler | None:
    """Where `[logging]` says, the log of the runtime goes into a file that is turned over."""
    from logging.handlers import RotatingFileHandler

    how = config.logging
    LOG.setLevel(how.level.upper())
    if not how.enabled:
        return None
    folder = Path(how.directory)
    folder.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(folder / how.file_name, maxBytes=how.max_bytes, backupCount=how.backup_count)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.addHandler(file)
    return file


def _tell(text: str) -> None:
    LOG.info(text)
    typer.echo(text, err=True)


def _say_ended(document: dict[str, Any], error: Exception | None) -> None:
    if error is not None:
        lines = [f"{document['error'].replace('_', ' ')}: {document['message']}"]
        if document.get("hint"):
            lines.append(f"hint: {document['hint']}")
        say(*lines)
        return
    say(
        f"{document['reason'] or 'done'}: {document['decisions']} decisions, {document['orders']} orders, "
        f"{document['fills']} fills in {document['wakes']} wakes" + (f" ({document['run']})" if document["run"] else "")
    )


def _lines(document: dict[str, Any]) -> list[str]:
    return [f"  strategy {_words(document['strategy'])}", f"  fingerprint {document['fingerprint'][:16]}"]


def _words(params: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items()) or "no parameters"
