"""A verb in a process of its own, forked from a server that has imported everything: what is killed is its work."""

from __future__ import annotations

import os
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.jobs.forks import FORKS


def start_verb(home: Path, url: str, folder: Path, words: tuple[str, ...]) -> BaseProcess:
    """Begin `gnomon WORDS` with this home and database, standing in `folder`."""
    process = FORKS.Process(target=run_verb, args=(str(home), url, str(folder), words))
    process.start()
    return process


def run_verb(home: str, url: str, folder: str, words: tuple[str, ...]) -> None:
    """In the child: the verb, its output left out, its exit code kept."""
    from gnomon.cli.main import app

    os.environ |= {"GNOMON_HOME": home, "GNOMON_DATABASE_URL": url}
    os.chdir(folder)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    app(words)
