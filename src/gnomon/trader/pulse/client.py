"""Client: signed calls by HTTP, and what is done when they fail.

| what came back | what is done |
|---|---|
| a GET that failed by itself (network, 5xx) | three more, after 0.25, 0.5 and 1 s |
| 429, 418 | wait for `Retry-After`, then again |
| -1021 | the server's time is read, once, and the call signed anew |
| an order with 5xx, -1006, -1007 or no answer | `Unknown`: what became of it is asked by client id, before all else |
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import orjson

from gnomon.clock import Clock
from gnomon.errors import Refused, Unavailable
from gnomon.trader.pulse.tally import Tally

TRIES: Final = 4
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 5.0
LONGEST_RETRY_S: Final = 120.0
WRONG_KEY: Final = (-2014, -2015, -1022, -1002)
STATUS_UNKNOWN: Final = (-1006, -1007)
LATE: Final = -1021
NOT_THERE: Final = (-2013, -2011)


class Refusal(Refused):
    """The venue has refused a call: `code` of its own, `msg`, and the status of HTTP."""

    def __init__(self, status: int, code: int, msg: str, data: Any = None) -> None:
        super().__init__(f"{code} {msg}", hint="see the venue's error codes", detail={"code": code, "status": status})
        self.status = status
        self.number = code
        self.msg = msg
        self.data = data

    @property
    def is_key(self) -> bool:
        return self.number in WRONG_KEY or self.status == 401


class Unknown(Unavailable):
    """Whether a call has done anything is not known."""


class Unreached(Unavailable):
    """The venue does not answer."""


Sleep = Callable[[float], object]


class Signer:
    """Signs parameters with a key. `now_ms` is the stamp that calls carry; an offset of the server's time is added."""

    def __init__(self, key: str, secret: str, recv_window_ms: int, now_ms: Callable[[], int]) -> None:
        self.key = key
        self._secret = secret.encode()
        self._window = str(recv_window_ms)
        self._now_ms = now_ms
        self.offset_ms = 0

    def signature(self, payload: str) -> str:
        return hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()

    def query(self, params: Mapping[str, str]) -> str:
        """For REST: the parameters in their order, stamped and signed."""
        stamped = {**params, "recvWindow": self._window, "timestamp": str(self._now_ms() + self.offset_ms)}
        payload = urlencode(stamped, quote_via=quote)
        return f"{payload}&signature={self.signature(payload)}"

    def params(self, params: Mapping[str, str], at_ms: int | None = None) -> dict[str, str]:
        """For the WebSocket API: by name, with the key."""
        at = self._now_ms() + self.offset_ms if at_ms is None else at_ms
        stamped = {**params, "apiKey": self.key, "recvWindow": self._window, "timestamp": str(at)}
        payload = "&".join(f"{name}={stamped[name]}" for name in sorted(stamped))
        return {**stamped, "signature": self.signature(payload)}


class Rest:
    """Calls to one host over one connection that is kept open."""

    def __init__(self, base_url: str, signer: Signer | None, timeout_s: float, sleep: Sleep, tally: Tally,
                 clock: Clock) -> None:  # fmt: skip
        parts = urlsplit(base_url)
        self._host, self._is_tls = parts.hostname or "localhost", parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        self._prefix = parts.path.rstrip("/")
        self.signer = signer
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._tally = tally
        self._clock = clock
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, params: Mapping[str, str] | None = None, *, signed: bool = False) -> Any:
        """What JSON says. Raises `Refusal`; `Unreached` when every try has failed."""
        for attempt in range(TRIES):
            try:
                return self._answered("GET", path, params or {}, signed)
            except (Unreached, Unknown) as error:
                if attempt == TRIES - 1:
                    raise Unreached(f"{path}: {error.message}", hint=error.hint) from error
                self._tally.retries += 1
                self._sleep(min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S))
        raise AssertionError("unreachable: the last try returns or raises")

    def once(self, verb: str, path: str, params: Mapping[str, str]) -> Any:
        """A signed call that may do something: sent once. `Unknown` where nobody can say whether it did."""
        return self._answered(verb, path, params, True)

    def sync_time(self) -> None:
        """Stamps follow the server's clock from here on."""
        if self.signer is not None:
            said = int(self._answered("GET", "/api/v3/time", {}, False)["serverTime"])
            self.signer.offset_ms = 0
            self.signer.offset_ms = said - self._clock.now_ns() // 1_000_000

    def post_json(self, path: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        """A body that is no call of the exchange, over a connection of its own: status and answer."""
        connection = self._connect(timeout_s)
        try:
            headers = {"Content-Type": "application/json"}
            if self.signer is not None:
                headers["X-MBX-APIKEY"] = self.signer.key
            connection.request("POST", self._place(path), body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreached(f"{path}: {_words(error)}", hint="is it running, and at this address?") from error
        finally:
            connection.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- inside -------------------------------------------------------------------------------------------------------

    def _answered(self, verb: str, path: str, params: Mapping[str, str], signed: bool) -> Any:
        """One call; again where the venue has said that this one was not looked at: too many, or a stamp off."""
        is_synced = False
        for _ in range(TRIES):
            status, headers, said = self._exchange(verb, path, params, signed)
            if status < 400:
                return said
            code = int(said.get("code", 0)) if isinstance(said, Mapping) else 0
            msg = str(said.get("msg") or said.get("message") or "") if isinstance(said, Mapping) else str(said)[:200]
            self._tally.rest_errors[str(status) if status < 500 else "5xx"] += 1
            if status in (418, 429):
                self._tally.retries += 1
                self._sleep(min(float(headers.get("Retry-After") or 1), LONGEST_RETRY_S))
            elif code == LATE and not is_synced and signed:
                is_synced = True
                self._tally.retries += 1
                self.sync_time()
            elif status >= 500 or code in STATUS_UNKNOWN:
                raise Unknown(f"{verb} {path}: {status} {code} {msg}", hint="ask what became of it")
            else:
                raise Refusal(status, code, msg, said.get("data") if isinstance(said, Mapping) else None)
        raise Refusal(status, code, msg)

    def _exchange(
        self, verb: str, path: str, params: Mapping[str, str], signed: bool
    ) -> tuple[int, Mapping[str, str], Any]:
        text = urlencode(params, quote_via=quote)
        headers = {"Accept": "application/json"}
        if self.signer is not None:
            headers["X-MBX-APIKEY"] = self.signer.key
            if signed:
                text = self.signer.query(params)
        body = None
        target = self._place(path)
        if verb == "POST":
            body, headers["Content-Type"] = text, "application/x-www-form-urlencoded"
        elif text:
            target = f"{target}?{text}"
        self._tally.rest_calls += 1
        has_sent = False
        try:
            connection = self._connection or self._connect(self._timeout_s)
            self._connection = connection
            connection.request(verb, target, body=body, headers=headers)
            has_sent = True
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self._tally.rest_errors["network"] += 1
            kind = Unknown if has_sent else Unreached
            raise kind(f"{verb} {path}: {_words(error)}", hint="is it running, and at this address?") from error
        if answer.will_close:
            self.close()
        return answer.status, dict(answer.getheaders()), _json(raw)

    def _place(self, path: str) -> str:
        """Below the address; what is no exchange's is beside the sessions of a venue, not below one."""
        is_ours = path.startswith(("/sim/", "/api/v1/"))
        return (self._prefix.partition("/s/")[0] if is_ours else self._prefix) + path

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
