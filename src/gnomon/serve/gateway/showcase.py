"""`GET /showcase/ml-prediction/{symbol}`: the newest live forecast of a symbol, from memory where that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from gnomon.errors import NotFound
from gnomon.serve.gateway.answers import LatestForecast, problems
from gnomon.serve.gateway.latest import Latest, Wanted
from gnomon.serve.gateway.memory import Answer, Memory, Message
from gnomon.serve.gateway.metrics import Meter
from gnomon.serve.gateway.roster import DEFAULT_MODEL
from gnomon.serve.gateway.watch import Watch

T = TypeVar("T")
PREFIX: Final = "/showcase/ml-prediction/"
READINGS_AT_ONCE: Final = 4
"""A reading is mostly Python: more threads would only wait for each other."""
AS_OF: Final = 2  # where `as_of` stands in what was asked


class Showcase:
    """The latest forecasts, ready to be sent. Lives on the event loop; only reading the store happens in threads."""

    def __init__(self, latest: Latest, memory: Memory, watch: Watch, meter: Meter) -> None:
        self.watch = watch
        self._latest = latest
        self._memory = memory
        self._meter = meter
        self._readings = asyncio.Semaphore(READINGS_AT_ONCE)
        self._reads: dict[Hashable, asyncio.Task[Answer]] = {}

    def remembered(self, scope: Scope) -> list[Message] | None:
        """What to send to a request spelled like an earlier one, if memory has it: no thread, no parsing."""
        spelling = (scope["path"], scope["query_string"])
        answer = self._memory.spelled(spelling, self._latest.now_ns())
        if answer is None:
            return None
        self._meter.looked_up("hit")
        return self.messages(answer, scope)

    def messages(self, answer: Answer, scope: Scope) -> list[Message]:
        """A 200, or a 304 for a reader who has this very answer."""
        full, unchanged = answer.ready(self._latest.now_ns())
        for name, value in scope["headers"]:
            if name == b"if-none-match" and _names(value, answer.etag):
                return unchanged
        return full

    async def find(self, scope: Scope, symbol: str, asked: Sequence[Any]) -> Answer:
        """The answer from memory or from the store. Raises `Invalid` and `NotFound` as the route documents."""
        if self.watch.due():
            await self.watch.look()
        spelling = (scope["path"], scope["query_string"])
        wanted = await self._understood(spelling, symbol, asked)
        if asked[AS_OF] is None or wanted.as_of_ns is not None:  # an instant of the future will be one of the past
            self._memory.keep_spelling(spelling, wanted)
        if (known := self._memory.answer(wanted, self._latest.now_ns())) is not None:
            self._meter.looked_up("hit")
            return known
        self._refuse_absent(wanted)
        self._meter.looked_up("miss")
        return await self._read_once(wanted)

    def _refuse_absent(self, key: Hashable) -> None:
        if (absence := self._memory.absence(key, self._latest.now_ns())) is not None:
            self._meter.looked_up("absent")
            raise absence

    async def _understood(self, spelling: Hashable, symbol: str, asked: Sequence[Any]) -> Wanted:
        if (wanted := self._latest.wanted_at_once(symbol, *asked)) is not None:
            return wanted
        self._refuse_absent(spelling)
        try:
            return await self._in_thread(self._latest.wanted, symbol, *asked)
        except NotFound as error:
            self._memory.keep_absence(spelling, None, error, self._latest.now_ns())
            raise

    async def _read_once(self, wanted: Wanted) -> Answer:
        """Readers who miss together share one reading, unless the ledger has grown since it began."""
        key = (wanted, self._memory.drops)
        task = self._reads.get(key)
        if task is None:
            task = self._reads[key] = asyncio.ensure_future(self._read(wanted, self._memory.drops))
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(task)

    async def _read(self, wanted: Wanted, drops: int) -> Answer:
        try:
            answer = await self._in_thread(self._latest.read, wanted)
        except NotFound as error:
            if drops == self._memory.drops:
                self._memory.keep_absence(wanted, wanted.slot, error, self._latest.now_ns())
            raise
        if drops == self._memory.drops:  # else it may be outdated already, and nobody would drop it
            self._memory.keep(wanted, answer)
        return answer

    async def _in_thread(self, ask: Callable[..., T], *given: Any) -> T:
        async with self._readings:
            return await run_in_threadpool(ask, *given)


def _names(header: bytes, etag: bytes) -> bool:
    """Whether If-None-Match names the ETag; weakness is ignored, as RFC 9110 says for GET."""
    if header == etag:
        return True
    named = (one.strip().removeprefix(b"W/") for one in header.split(b","))
    return header.strip() == b"*" or etag in named


class _Ready(Response):
    """A response whose messages exist already."""

    def __init__(self, messages: list[Message]) -> None:
        super().__init__()
        self._messages = messages

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        for message in self._messages:
            await send(message)


router = APIRouter(tags=["forecasts"])


@router.get(
    PREFIX + "{symbol}",
    response_model=LatestForecast,
    response_model_exclude_unset=True,
    responses={304: {"description": "The ETag still names this forecast."}, **problems(400, 404, 422, 429, 503)},
    summary="The newest live forecast of a symbol",
)
async def latest_forecast(
    request: Request,
    symbol: str,
    model: Annotated[str, Query(description="A forecaster's id.")] = DEFAULT_MODEL,
    timeframe: Annotated[str, Query(description="Bar length.", examples=["1h", "1d"])] = "1h",
    as_of: Annotated[str | None, Query(description="ISO 8601: the newest issue of that instant; default: now.")] = None,
    include: Annotated[
        list[str] | None,
        Query(description="Any of quantiles, samples, baseline, scores, bars; repeated or separated by commas."),
    ] = None,
) -> Response:
    """No authentication; an API key header is accepted and ignored. A stale forecast is served, and says so."""
    showcase: Showcase = request.app.state.showcase
    answer = await showcase.find(request.scope, symbol, (model, timeframe, as_of, tuple(include or ())))
    return _Ready(showcase.messages(answer, request.scope))
