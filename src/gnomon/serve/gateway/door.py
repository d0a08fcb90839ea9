"""What every request passes before FastAPI: the limit, what memory can answer, the headers that all answers share."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gnomon.errors import Exhausted
from gnomon.serve.gateway.errors import broken, refusal
from gnomon.serve.gateway.limits import Limiter
from gnomon.serve.gateway.metrics import Meter
from gnomon.serve.gateway.showcase import PREFIX, Showcase

PUBLIC: Final = ("/showcase/", "/api/")
"""Read by anybody from any origin, and limited by address."""

_SHOWCASE_ROUTE: Final = PREFIX + "{symbol}"
_OPEN: Final = (b"access-control-allow-origin", b"*")
_PREFLIGHT: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, OPTIONS",
    "access-control-max-age": "86400",
    "allow": "GET, HEAD, OPTIONS",
}


class Door:
    """Pure ASGI, and first in line: a forecast that memory has is sent without FastAPI, a thread or a copy."""

    def __init__(self, app: ASGIApp, *, showcase: Showcase, limiter: Limiter, meter: Meter) -> None:
        self._app = app
        self._showcase = showcase
        self._limiter = limiter
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        route, status = await self._answer(scope, receive, send)
        self._meter.answered(route, status, perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> tuple[str, int]:
        path: str = scope["path"]
        if not path.startswith(PUBLIC):
            return await self._through(scope, receive, send)
        if self._limiter and (wait_s := self._limiter.wait_s(_address(scope))):
            return await _send(_too_many(wait_s), scope, receive, _Opened(send), "limited")
        if scope["method"] == "OPTIONS":
            return await _send(_preflight(scope), scope, receive, send, "preflight")
        if path.startswith(PREFIX) and scope["method"] in ("GET", "HEAD"):
            if self._showcase.watch.due():
                await self._showcase.watch.look()
            ready = self._showcase.remembered(scope)
            if ready is not None:
                await send(ready[0])
                await send(ready[1] if scope["method"] == "GET" else _NO_BODY)
                return _SHOWCASE_ROUTE, ready[0]["status"]
        return await self._through(scope, receive, _Opened(send))

    async def _through(self, scope: Scope, receive: Receive, send: Send) -> tuple[str, int]:
        """Let FastAPI answer. HEAD is answered as GET is, without the body; a failure nobody foresaw as a 500."""
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
            send = _Bodiless(send)
        counted = _Counted(send)
        try:
            await self._app(scope, receive, counted)
        except Exception as error:
            response = broken(error)
            if counted.status:
                raise  # half an answer is out: the server must cut the connection
            await response(scope, receive, counted)
        return getattr(scope.get("route"), "path", "unmatched"), counted.status


_NO_BODY: Final = {"type": "http.response.body", "body": b""}


class _Counted:
    """Remembers the status that was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class _Opened:
    """Adds the header that lets pages of any origin read the answer."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _OPEN not in message["headers"]:
            message["headers"] = [*message["headers"], _OPEN]
        await self._send(message)


class _Bodiless:
    """Sends the headers of a GET, its length included, and nothing of its body."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


async def _send(response: Response, scope: Scope, receive: Receive, send: Send, route: str) -> tuple[str, int]:
    await response(scope, receive, send)
    return route, response.status_code


def _address(scope: Scope) -> str:
    """The client's. Behind a proxy the server puts the forwarded one here, if it was told to trust that proxy."""
    client = scope.get("client")
    return client[0] if client else ""


def _too_many(wait_s: int) -> Response:
    error = Exhausted(
        "too many requests from this address", hint=f"wait {wait_s} s", detail={"retry_after_seconds": wait_s}
    )
    return refusal(error, headers={"retry-after": str(wait_s)})


def _preflight(scope: Scope) -> Response:
    asked = dict(scope["headers"]).get(b"access-control-request-headers", b"*")
    return Response(status_code=204, headers={**_PREFLIGHT, "access-control-allow-headers": asked.decode("latin-1")})
