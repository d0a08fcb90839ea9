"""The entry point of the command `gnomon`: all verbs, by what they are for."""

from __future__ import annotations

from gnomon.cli import certify, data, forecasts, keeping, processes, pulse, replay, sessions, weights, work
from gnomon.cli.verb import app

__all__ = [
    "app",
    "certify",
    "data",
    "forecasts",
    "keeping",
    "main",
    "processes",
    "pulse",
    "replay",
    "sessions",
    "weights",
    "work",
]


def main() -> None:
    """Run the verb that the process was called with."""
    app()
