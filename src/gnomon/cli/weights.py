"""Verbs of weights: list, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gnomon.cli.verb import Json, verb, weights
from gnomon.terminal import say, show, show_json


@weights.callback(invoke_without_command=True)
def bare(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        weights_list(as_json=as_json)


@weights.command("list")
@verb
def weights_list(as_json: Json = False) -> None:
    """The published checkpoints, and which of them are on this machine; what is there is hashed."""
    from gnomon.forecast.kronos.config import PUBLISHED
    from gnomon.forecast.kronos.shelf import held

    _shown([held(one) for one in PUBLISHED.values()], as_json)


@weights.command("fetch")
@verb
def weights_fetch(
    names: Annotated[list[str], typer.Argument(help="Names, e.g. Kronos-mini; a model brings its tokenizer.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Take the files from this folder instead of the Hub.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring checkpoints to this machine: the pinned revision, checked by SHA-256, whole or not at all."""
    from gnomon.forecast.kronos.config import published
    from gnomon.forecast.kronos.hub import fetch, take, with_tokenizers

    found = []
    for one in with_tokenizers(published(name) for name in names):
        say(f"{one.name} {one.revision[:12]} …")
        found.append(fetch(one) if source is None else take(one, source))
    _shown(found, as_json)


def _shown(found: list[Any], as_json: bool) -> None:
    if as_json:
        show_json({"weights": [one.row() for one in found]})
        return
    from gnomon.forecast.kronos.shelf import home
    from gnomon.terminal import weights_table

    show(weights_table(found))
    say(f"in {home()}")
    for one in found:
        say(*(f"{one.checkpoint.name}: {fault}" for fault in one.faults))
