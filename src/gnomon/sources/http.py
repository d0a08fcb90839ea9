"""Asking a provider over HTTP: at its pace, again where that may help, and with a clear reason where it does not.

| what happens                                             | what is done                                              |
|----------------------------------------------------------|-----------------------------------------------------------|
| 5xx, 408, 425, no connection, a timeout                  | asked again, later each time; then `Unavailable`          |
| a body cut off (by its length, its last chunk, its JSON) | the same: nothing of it is used                           |
| a page where JSON is due (a proxy's, of a maintenance)   | the same                                                  |
| 429                                                      | waits for `Retry-After`; `Exhausted` where it is too long |
| 418 (a ban)                                              | `Exhausted` at once; nothing is asked until it ends       |
| 401, 403, 451, a redirect to another host                | `Refused`                                                 |
| 404, 410                                                 | `NotFound`                                                |
| other 4xx, a body larger than allowed                    | `Invalid`                                                 |

Requests are idempotent GETs. Values of secret parameters (keys, tokens, signatures) appear in no log and no error.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import IO, Any, Final, TypeVar

import httpx
import orjson

from gnomon._version import __version__
from gnomon.chance import uniform
from gnomon.clock import Clock
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.units import SECOND_NS

_T = TypeVar("_T")
Params = Mapping[str, str | int]

USER_AGENT: Final = f"gnomon/{__version__} (market data client)"
LARGEST_BODY_BYTES: Final = 64 * 1024**2
LONGEST_LOG: Final = 10_000

_SECRET: Final = re.compile(r"(?i)^(.*(api_?key|token|secret|signature|password).*|key|authorization|cookie)$")
_TOLERATED_SKEW_NS: Final = 5 * SECOND_NS
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_MOST_REDIRECTS: Final = 3
_SHOWN_BODY: Final = 200
_RANGE: Final = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How fast to ask: `weight` units every `per_s` seconds, at most `burst` at once (by default all of them).

    Where the provider counts for itself, `used_header` names the header with its count and `limit` the most it allows:
    what others on the same address used is then taken into account.
    """

    weight: float
    per_s: float = 60.0
    burst: float | None = None
    used_header: str = ""
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class HttpRetries:
    """How often and how long to try. Waits grow from `base_s` twofold to `longest_s`, each cut by up to a half.

    `deadline_s` bounds one request with all its attempts and waits; `seed` keys the jitter.
    """

    attempts: int = 5
    base_s: float = 0.5
    longest_s: float = 30.0
    deadline_s: float = 180.0
    seed: int = 0

    def wait_s(self, attempt: int, *parts: str) -> float:
        """Before attempt `attempt` + 1; keyed, so that many clients that fail together do not come back together."""
        share = 1.0 - 0.5 * uniform(self.seed, "http-retry", *parts, attempt)
        return min(self.longest_s, self.base_s * 2.0 ** (attempt - 1)) * share


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it was made. Status 0: no answer came, and `problem` says why. Secrets are masked."""

    method: str
    path: str
    params: Mapping[str, str]
    status: int
    attempt: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; names of `headers` in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def text(self) -> str:
        """The beginning of the body, on one line, for a message."""
        return " ".join(self.body[: 4 * _SHOWN_BODY].decode(errors="replace").split())[:_SHOWN_BODY]


Judge = Callable[[Answer], GnomonError | None]
"""What an adapter knows of its provider's answers: the error that one stands for, or None to go by its status."""


class Http:
    """One provider. A context manager that closes its connections.

    `judge` sees each answer before its status is looked at. `sleep` and `monotonic` (seconds) are for tests that do not
    wait. `log` has every request made, the newest 10,000.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        rate: RateLimit,
        retries: HttpRetries | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        judge: Judge | None = None,
        largest_body_bytes: int = LARGEST_BODY_BYTES,
    ) -> None:
        self.base = _checked_base(base_url)
        self.log: list[Asked] = []
        self.notes: list[str] = []
        self.clock_ahead_ns: int | None = None
        self._clock, self._judge, self._sleep, self._monotonic = clock, judge, sleep, monotonic
        self._retries = retries or HttpRetries()
        self._largest_body_bytes = largest_body_bytes
        self._secrets = _secrets(headers or {})
        self._pace = _Pace(rate, monotonic, sleep)
        self._client = _client({"User-Agent": USER_AGENT, **(headers or {})}, timeout_s)

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    @property
    def host(self) -> str:
        return self.base.host

    def _where(self, ask: _Ask) -> str:
        return f"{self.host}/{ask.path.lstrip('/')}"

    def get(self, path: str, params: Params | None = None, *, weight: float = 1.0) -> Answer:
        """The answer to a GET, whole. Raises as the module's table says."""
        return self._ask(_Ask(path, _texts(params), weight), self._read_whole, lambda answer: answer)

    def json(self, path: str, params: Params | None = None, *, weight: float = 1.0) -> Any:
        """The JSON document of the answer; a body that is none counts as cut off, and is asked for again."""
        return self._ask(_Ask(path, _texts(params), weight), self._read_whole, self._document)

    def download(self, path: str, into: IO[bytes], *, largest_bytes: int, weight: float = 1.0) -> int:
        """Append a file to what `into` holds of it already, from a seekable file open for reading and writing.

        Goes on where it stopped when the server gives ranges, else begins anew. Answers with the bytes of the whole.
        """
        ask = _Ask(path, {}, weight, into, largest_bytes)
        return self._ask(ask, self._read_file, lambda answer: int(answer.headers["x-total"]))

    # --- one request and its attempts --------------------------------------------------------------------------------

    def _ask(self, ask: _Ask, read: Callable[[_Ask, httpx.Response], Answer], parse: Callable[[Answer], _T]) -> _T:
        ask.started_s = self._monotonic()
        for attempt in range(1, self._retries.attempts + 1):
            self._pace.take(ask.weight)
            try:
                return self._once(ask, attempt, read, parse)
            except Exhausted as error:
                wait_s = self._after_limit(ask, attempt, error)
            except Unavailable as error:
                wait_s = self._after_failure(ask, attempt, error)
            ask.waited_s += wait_s
            self._sleep(wait_s)
        raise AssertionError("unreachable: the last attempt answers or raises")

    def _once(
        self,
        ask: _Ask,
        attempt: int,
        read: Callable[[_Ask, httpx.Response], Answer],
        parse: Callable[[Answer], _T],
    ) -> _T:
        status, problem = 0, ""
        try:
            with self._stream(ask) as response:
                status = response.status_code
                answer = read(ask, response)
            self._heed(answer)
            if error := self._error_of(ask, answer):
                raise error
            return parse(answer)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            problem = self._without_secrets(_said(error), ask)
        except GnomonError as error:
            problem = error.message = self._without_secrets(error.message, ask)
            error.args = (problem,)
            raise
        finally:
            self._note(Asked("GET", ask.path, _masked(ask.params), status, attempt, problem))
        raise Unavailable(
            f"{self._where(ask)}: {problem}",
            hint="try again later; is the network up?",
            detail={"host": self.host, "path": ask.path, "attempt": attempt},
        )

    def _without_secrets(self, text: str, ask: _Ask) -> str:
        """Providers repeat a key that they do not like; we don't."""
        for secret in (*self._secrets, *_secrets(ask.params)):
            text = text.replace(secret, "***")
        return text

    def _note(self, asked: Asked) -> None:
        self.log.append(asked)
        if len(self.log) > LONGEST_LOG:
            del self.log[: LONGEST_LOG // 10]

    def _after_failure(self, ask: _Ask, attempt: int, error: Unavailable) -> float:
        """How long to wait before the next attempt; raises where there is none left."""
        wait_s = self._retries.wait_s(attempt, self.host, ask.path, *map(str, sorted(ask.params.items())))
        wait_s = max(wait_s, float(error.detail.get("retry_after_s") or 0.0))
        if attempt == self._retries.attempts or not self._in_time(ask, wait_s):
            error.message = f"{error.message} (after {attempt} attempt{'s' if attempt > 1 else ''})"
            error.args = (error.message,)
            error.detail["attempts"] = attempt
            raise error
        return wait_s

    def _after_limit(self, ask: _Ask, attempt: int, error: Exhausted) -> float:
        """As `_after_failure`, for a limit: a ban, or a wait that is too long, ends it and bars what comes after."""
        wait_s = float(error.detail.get("retry_after_s") or self._retries.longest_s)
        error.detail["retry_after_s"] = wait_s
        patient = wait_s <= self._retries.longest_s and self._in_time(ask, wait_s)
        if error.detail.get("banned") or attempt == self._retries.attempts or not patient:
            self._pace.bar(wait_s)
            raise error
        return wait_s

    def _in_time(self, ask: _Ask, wait_s: float) -> bool:
        spent_s = max(self._monotonic() - ask.started_s, ask.waited_s)
        return spent_s + wait_s < self._retries.deadline_s

    # --- the wire ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _stream(self, ask: _Ask) -> Iterator[httpx.Response]:
        """The response, behind at most three redirects within the host."""
        url, params = self._url(ask.path), ask.params or None
        for _ in range(_MOST_REDIRECTS + 1):
            with self._client.stream("GET", url, params=params, headers=ask.headers()) as response:
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    yield response
                    return
                url, params = self._redirected(response, ask), None
        raise Unavailable(
            f"{self._where(ask)} redirects more than {_MOST_REDIRECTS} times",
            hint="is the base URL right?",
        )

    def _url(self, path: str) -> httpx.URL:
        return self.base.copy_with(path=f"{self.base.path.rstrip('/')}/{path.lstrip('/')}")

    def _redirected(self, response: httpx.Response, ask: _Ask) -> httpx.URL:
        target = response.request.url.join(response.headers["location"])
        if (target.scheme, target.host, target.port) != (self.base.scheme, self.base.host, self.base.port):
            raise Refused(
                f"{self._where(ask)} redirects to another host, {target.host!r}: not followed",
                hint="set the base URL to that host if it is meant",
                detail={"host": self.host, "redirects_to": target.host},
            )
        return target

    def _pieces(self, ask: _Ask, response: httpx.Response, largest_bytes: int) -> Iterator[bytes]:
        """The body in pieces; watched for its size, and for a server that sends it drop by drop."""
        received = 0
        for piece in response.iter_bytes():
            received += len(piece)
            if received > largest_bytes:
                raise Invalid(
                    f"{self._where(ask)} answers with more than {largest_bytes:,} bytes",
                    hint="ask for less, or raise the limit",
                    detail={"largest_bytes": largest_bytes},
                )
            if not self._in_time(ask, 0.0):
                raise Unavailable(
                    f"{self._where(ask)}: the answer took longer than {self._retries.deadline_s:g} s",
                    hint="try again later",
                )
            yield piece

    def _read_whole(self, ask: _Ask, response: httpx.Response) -> Answer:
        body = b"".join(self._pieces(ask, response, self._largest_body_bytes))
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)

    def _read_file(self, ask: _Ask, response: httpx.Response) -> Answer:
        into = ask.into
        assert into is not None
        have = into.seek(0, 2)
        if response.status_code == 416 and have:  # what is there is no beginning of this file, or already all of it
            into.truncate(0)
            raise Unavailable(f"{self._where(ask)}: the part that was kept does not fit", hint="try again")
        if response.status_code not in (200, 206):
            return self._read_whole(ask, response)
        if response.status_code == 200 or _range_start(response) != have:
            have = into.seek(0)
            into.truncate(0)
            if response.status_code == 206:
                raise Unavailable(f"{self._where(ask)}: another range than asked for", hint="try again")
        ask.etag = response.headers.get("etag", "")
        for piece in self._pieces(ask, response, ask.largest_bytes - have):
            into.write(piece)
        into.flush()
        headers = {k.lower(): v for k, v in response.headers.items()}
        return Answer(200, headers | {"x-total": str(into.tell())}, b"")

    # --- what an answer means ---------------------------------------------------------------------------------------

    def _heed(self, answer: Answer) -> None:
        """Take the provider's count of our requests, and its clock, into account."""
        self._pace.used(answer.headers)
        ahead_ns = _ahead_ns(answer.headers.get("date", ""), self._clock.now_ns())
        if ahead_ns is None:
            return
        was_fine = self.clock_ahead_ns is None or abs(self.clock_ahead_ns) <= _TOLERATED_SKEW_NS
        self.clock_ahead_ns = ahead_ns
        if abs(ahead_ns) > _TOLERATED_SKEW_NS and was_fine:
            way = "ahead of" if ahead_ns > 0 else "behind"
            seconds = abs(ahead_ns) / SECOND_NS
            self.notes.append(f"the local clock is {seconds:,.0f} s {way} that of {self.host}")

    def _error_of(self, ask: _Ask, answer: Answer) -> GnomonError | None:
        error = self._judge(answer) if self._judge else None
        if error is None and not 200 <= answer.status < 300:
            error = _by_status(f"{self._where(ask)}", answer)
        if error is None:
            return None
        wait_s = retry_after_s(answer.headers, self._clock.now_ns())
        if wait_s is not None and isinstance(error, Unavailable | Exhausted):
            error.detail.setdefault("retry_after_s", wait_s)
        if answer.status == 418:
            error.detail["banned"] = True
        error.detail.setdefault("status", answer.status)
        return error

    def _document(self, answer: Answer) -> Any:
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            what = _what_is_wrong(answer, error)
        raise Unavailable(f"{self.host}: {what}", hint="try again later", detail={"bytes": len(answer.body)})


@dataclass(slots=True)
class _Ask:
    """One request while it is being made."""

    path: str
    params: Mapping[str, str]
    weight: float
    into: IO[bytes] | None = None
    largest_bytes: int = 0
    etag: str = ""
    started_s: float = 0.0
    waited_s: float = 0.0

    def headers(self) -> dict[str, str]:
        """For a file: as it lies on the server, from where ours ends, if it is still the same file."""
        if self.into is None:
            return {}
        have = self.into.seek(0, 2)
        plain = {"Accept-Encoding": "identity"}
        if not have:
            return plain
        return plain | {"Range": f"bytes={have}-"} | ({"If-Range": self.etag} if self.etag else {})


@dataclass(slots=True)
class _Pace:
    """A bucket of tokens, told by one number: when it would be full again. Shared by the threads of one client."""

    rate: RateLimit
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    _full_at_s: float = 0.0
    _barred_until_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, weight: float) -> None:
        """Wait for so many tokens. `Exhausted` at once while the provider has barred us."""
        with self._lock:
            now_s = self.monotonic()
            if now_s < self._barred_until_s:
                left_s = self._barred_until_s - now_s
                raise Exhausted(
                    f"barred by the provider for another {left_s:,.0f} s",
                    hint="wait: asking earlier makes it longer",
                    detail={"retry_after_s": left_s, "banned": True},
                )
            per_token_s = self.rate.per_s / self.rate.weight
            self._full_at_s = max(self._full_at_s, now_s) + weight * per_token_s
            wait_s = self._full_at_s - now_s - max(self._burst, weight) * per_token_s
        if wait_s > 1e-9:
            self.sleep(wait_s)

    def used(self, headers: Mapping[str, str]) -> None:
        """The provider's own count: no more tokens than it has left for us."""
        count = headers.get(self.rate.used_header.lower(), "") if self.rate.used_header else ""
        if not count.isdecimal() or self.rate.limit is None:
            return
        spare = self.rate.limit - int(count)
        with self._lock:
            empty_by_s = (self._burst - spare) * self.rate.per_s / self.rate.weight
            self._full_at_s = max(self._full_at_s, self.monotonic() + empty_by_s)

    def bar(self, wait_s: float) -> None:
        with self._lock:
            self._barred_until_s = max(self._barred_until_s, self.monotonic() + wait_s)

    @property
    def _burst(self) -> float:
        return self.rate.weight if self.rate.burst is None else self.rate.burst


# --- reading answers --------------------------------------------------------------------------------------------------


def retry_after_s(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Seconds that `Retry-After` asks for, given as seconds or as a date; None without one."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    ahead_ns = _ahead_ns(text, now_ns)
    return None if ahead_ns is None else max(0.0, -ahead_ns / SECOND_NS)


def _ahead_ns(date: str, now_ns: int) -> int | None:
    """How far `now_ns` is ahead of an HTTP date; None where the text is none."""
    if not date:
        return None
    try:
        return now_ns - int(parsedate_to_datetime(date).timestamp()) * SECOND_NS
    except (ValueError, OverflowError):
        return None


def _by_status(where: str, answer: Answer) -> GnomonError:
    status, said = answer.status, answer.text()
    message = f"{where} answers {status}" + (f": {said}" if said else "")
    if status in (429, 418):
        return Exhausted(message, hint="wait as long as detail.retry_after_s says")
    if status >= 500 or status in (408, 425):
        return Unavailable(message, hint="try again later")
    if status in (401, 403, 407, 451):
        return Refused(message, hint="is the key right, and is the service offered where this machine is?")
    if status in (404, 410):
        return NotFound(message, hint="check the name that was asked for")
    return Invalid(message, hint="the request, or the adapter, is wrong")


def _what_is_wrong(answer: Answer, error: orjson.JSONDecodeError) -> str:
    start = answer.body[:64].lstrip()
    if not start:
        return "an empty body where JSON is due"
    if start.startswith(b"<"):
        return f"a page where JSON is due: {answer.text()}"
    if error.pos >= len(answer.body.decode(errors="replace").rstrip()) - 1:
        return f"the JSON ends early, after {len(answer.body):,} bytes"
    return f"no JSON at character {error.pos}: {answer.text()}"


def _range_start(response: httpx.Response) -> int:
    match = _RANGE.match(response.headers.get("content-range", ""))
    return int(match[1]) if match else -1


# --- what is asked --------------------------------------------------------------------------------------------------


def _texts(params: Params | None) -> dict[str, str]:
    return {name: str(value) for name, value in (params or {}).items()}


def _masked(params: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if _SECRET.match(name) else value for name, value in params.items()}


def _secrets(named: Mapping[str, str]) -> list[str]:
    return [value for name, value in named.items() if value and _SECRET.match(name)]


def _said(error: Exception) -> str:
    """What went wrong, in words; an error of the library may be empty."""
    if isinstance(error, httpx.TimeoutException):
        return f"timed out ({type(error).__name__})"
    return str(error) or type(error).__name__


def _checked_base(base_url: str) -> httpx.URL:
    try:
        base = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise Invalid(f"not an address: {base_url!r} ({error})", hint="e.g. https://api.binance.com") from None
    if base.scheme not in ("http", "https") or not base.host or base.userinfo or base.query:
        raise Invalid(
            f"not an address of a provider: {base.copy_with(userinfo=b'', query=None)}",
            hint="http or https, a host, perhaps a path; no password and no query",
        )
    return base


def _client(headers: Mapping[str, str], timeout_s: float) -> httpx.Client:
    logging.getLogger("httpx").addFilter(_without_addresses)
    direct = {"all://127.0.0.1": None, "all://localhost": None}  # a proxy of the machine is not for itself
    return httpx.Client(headers=dict(headers), timeout=httpx.Timeout(timeout_s), follow_redirects=False, mounts=direct)


def _without_addresses(record: logging.LogRecord) -> bool:
    """The library logs whole addresses, with their secrets: `Http.log` is the log."""
    return not record.getMessage().startswith("HTTP Request:")
