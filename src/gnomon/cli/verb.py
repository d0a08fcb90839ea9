"""What every verb shares: the apps, the options, the shape of an error, and composing a store from the settings.

`--json` prints one JSON document on stdout and nothing else; progress and logs go to stderr. Exit 0 done, 1 refused or
failed (message, then hint), 2 usage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from gnomon.errors import GnomonError, Invalid
from gnomon.terminal import say, show_json

if TYPE_CHECKING:
    from gnomon.jobs.cast import Watched
    from gnomon.jobs.predict import Plan, Subject
    from gnomon.market.instrument import Instruments
    from gnomon.settings import Settings
    from gnomon.store.store import Store

P = ParamSpec("P")

app = typer.Typer(
    name="gnomon",
    help="Market forecasts, stored once and scored in public, beside an honest baseline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The database.", no_args_is_help=True)
serve = typer.Typer(help="One process each.", no_args_is_help=True)
session = typer.Typer(help="One session on the wire.", no_args_is_help=True)
weights = typer.Typer(help="Weights of the models on this machine.")
app.add_typer(db, name="db")
app.add_typer(serve, name="serve")
app.add_typer(session, name="session")
app.add_typer(weights, name="weights")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")]
TimeframeName = Annotated[str, typer.Option("--timeframe", help="Bar length: 1h, 1d, …")]
Horizon = Annotated[int, typer.Option("--horizon", min=1, max=1024, help="Bars ahead.")]
InstrumentNames = Annotated[str, typer.Option("--instruments", help="Comma list; default: all that are stored.")]
ForecasterNames = Annotated[str, typer.Option("--forecasters", help="Comma list; default: all baselines.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the path methods.")]
BasisName = Annotated[str, typer.Option("--basis", help="raw, split or adjusted; default: raw where it is stored.")]


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """Turn the errors of the tree into a message, a hint and exit 1 (with `--json`: the error document on stdout)."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except GnomonError as error:
            if kwargs.get("as_json"):
                show_json(error.document())
            else:
                say(
                    f"{error.code.replace('_', ' ')}: {error.message}", *([f"hint: {error.hint}"] if error.hint else [])
                )
            raise typer.Exit(1) from None
        except BrokenPipeError:
            sys.stderr.close()

    return run


@app.callback(invoke_without_command=True)
def version(show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show_version:
        from gnomon._version import __version__

        typer.echo(__version__)
        raise typer.Exit


# --- composing ------------------------------------------------------------------------------------------------------


def settings_of() -> Settings:
    from gnomon.settings import Settings

    return Settings.load()


def opened() -> tuple[Settings, Store, Instruments]:
    """The settings, the store they name and the configured instruments."""
    from gnomon.sources.instruments import load_instruments, shipped_instruments
    from gnomon.store.store import Store

    settings = settings_of()
    instruments = load_instruments(settings.instruments) if settings.instruments else shipped_instruments()
    return settings, Store.open(settings.url, settings.root / "datasets"), instruments


def plan_of(
    store: Store,
    configured: Instruments,
    timeframe: str,
    horizon: int,
    instruments: str,
    forecasters: str,
    seed: int,
    basis: str,
) -> Plan:
    from gnomon.forecast.catalog import BASELINES, REFERENCE
    from gnomon.jobs.predict import Plan

    wanted = names_of(forecasters) or tuple(BASELINES)
    return Plan(
        subjects=tuple(subjects_of(store, configured, timeframe, instruments, basis)),
        timeframe=timeframe_of(timeframe),
        horizon=horizon,
        forecasters=tuple(dict.fromkeys((REFERENCE, *wanted))),  # never without the reference beside it
        seed=seed,
    )


def subjects_of(store: Store, configured: Instruments, timeframe: str, instruments: str, basis: str) -> list[Subject]:
    from gnomon.jobs.predict import subjects

    return subjects(store, configured, timeframe_of(timeframe), names_of(instruments), basis_of(basis))


def watched_of(pair: str, on_disagree: str) -> Watched:
    """Two members of the pool, or those that it watches by default. `Invalid` for one, three or an unknown answer."""
    from gnomon.jobs.cast import MODELS_WATCHED, Watched

    allowed = ("widen", "flag")
    names = names_of(pair) or (MODELS_WATCHED.first, MODELS_WATCHED.second)
    if len(names) != 2:
        raise Invalid(f"--disagreement {pair!r}", hint="two members of the pool, e.g. drift,momentum")
    return Watched(*names, on_disagree=one_of(on_disagree, allowed, "--on-disagree"))  # type: ignore[arg-type]  # checked


def names_of(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def timeframe_of(text: str) -> Any:
    from gnomon.clock import Timeframe

    return Timeframe.parse(text)


def basis_of(text: str) -> Any:
    return one_of(text, ("raw", "split", "adjusted"), "basis") if text else None


def lane_of(text: str) -> Any:
    return one_of(text, ("live", "backfill"), "lane")


def one_of(text: str, allowed: Sequence[str], what: str) -> str:
    if text not in allowed:
        raise Invalid(f"{what} {text!r}", hint=f"one of {', '.join(allowed)}")
    return text
