"""The one outside shape of every failure: `{error, message, hint, detail}`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from gnomon.errors import Conflict, Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable, nearest

log = logging.getLogger("gnomon.gateway")

STATUS: Final[Mapping[type[GnomonError], int]] = {
    NotFound: 404,
    Invalid: 400,
    Conflict: 409,
    Refused: 403,
    Unavailable: 503,
    Exhausted: 429,
}
DATABASE_AWAY: Final = (OperationalError, InterfaceError, PoolTimeout)
"""What a driver raises for a database that cannot be reached, or has no connection left."""
RETRY_AFTER_S: Final = 5
"""What a client is told to wait when the database is away."""


def refusal(error: GnomonError, *, status: int = 0, headers: Mapping[str, str] | None = None) -> Response:
    """The response that tells a failure to a person and to a program."""
    code = status or next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    sent = dict(headers or {})
    if code == 503:
        sent.setdefault("retry-after", str(RETRY_AFTER_S))
    body = orjson.dumps(error.document(), default=str)
    return Response(body, code, media_type="application/json", headers=sent)


def broken(error: Exception) -> Response:
    """The answer to a failure that nobody foresaw: the trace goes to the log, never outside."""
    log.error("unforeseen failure", exc_info=error)
    return refusal(
        GnomonError("the gateway failed on this request", hint="try again; the gateway's log says what went wrong"),
        status=500,
    )


def database_away(error: Exception) -> Unavailable:
    """What a reader is told when the database cannot answer; the driver's words and the address go to the log alone."""
    log.warning("the database does not answer: %s", error)
    return Unavailable("the database does not answer", hint="try again in a few seconds; /health says when it is back")


def install(app: FastAPI) -> None:
    """Give every failure of `app` the one shape."""
    app.add_exception_handler(GnomonError, _of_the_tree)
    app.add_exception_handler(RequestValidationError, _of_the_request)
    app.add_exception_handler(HTTPException, _of_the_route)
    for kind in DATABASE_AWAY:
        app.add_exception_handler(kind, _of_the_database)


def _of_the_tree(_: Request, error: Exception) -> Response:
    assert isinstance(error, GnomonError)
    if isinstance(error, Unavailable) and error.__cause__ is not None:
        error = database_away(error)
    return refusal(error)


def _of_the_database(_: Request, error: Exception) -> Response:
    return refusal(database_away(error))


def _of_the_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [_problem(one) for one in error.errors()]
    first = problems[0]
    message = f"{first['where']}: {first['why']}, received {first['received']!r}"
    refused = Invalid(message, hint="/openapi.json lists what is understood", detail={"problems": problems})
    return refusal(refused, status=422)


def _problem(one: Mapping[str, Any]) -> dict[str, str]:
    where = ".".join(str(part) for part in one["loc"][1:]) or str(one["loc"][0])
    return {"where": where, "why": str(one["msg"]).lower(), "received": str(one.get("input"))[:200]}


def _of_the_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return refusal(_no_such_path(request))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        allowed = headers["Allow"] = headers.get("Allow", "GET").replace("GET", "GET, HEAD")
        problem: GnomonError = Refused(
            f"{request.method} is not answered at {request.url.path}",
            hint=f"use {allowed}; /openapi.json lists every route",
            detail={"allowed": [one.strip() for one in allowed.split(",")]},
        )
    else:
        problem = Invalid(str(error.detail))
    return refusal(problem, status=error.status_code, headers=headers)


def _no_such_path(request: Request) -> NotFound:
    known = sorted(request.app.openapi()["paths"])
    close = nearest(request.url.path, known)
    also = f"did you mean {' or '.join(close)}? " if close else ""
    return NotFound(
        f"nothing at {request.url.path}", hint=f"{also}/openapi.json lists every route", detail={"nearest": close}
    )
