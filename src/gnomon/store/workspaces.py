"""Workspaces: whose a row is. A store of what belongs to somebody is opened for one workspace, and finds nothing of
another: neither by its id, nor by the beginning of it, nor in a list."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from sqlalchemy import Select, Table, Update, select

from gnomon.store.tables import session_runs, sessions

WORKSPACE: Final = "ws_local"
"""The one workspace of an installation without accounts."""

EVERY: Final = ""
"""For the process that plays the sessions of all."""

Statement = TypeVar("Statement", Select[Any], Update)


def within(statement: Statement, table: Table, workspace: str) -> Statement:
    """The statement, of the rows of a workspace alone."""
    return statement if workspace == EVERY else statement.where(table.c.workspace == workspace)


def starts_within(statement: Select[Any], workspace: str) -> Select[Any]:
    """The same for the starts of bots: theirs is the workspace of their session."""
    if workspace == EVERY:
        return statement
    return statement.where(session_runs.c.session.in_(within(select(sessions.c.id), sessions, workspace)))
