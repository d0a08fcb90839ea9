"""A bot as they are written on a first evening: it sends again what it has no answer to, believes every report, takes
what it has cancelled for cancelled, keeps to what it read at its start, never asks what it has, and thinks that the day
is over when its stream ends.

`python naive.py` with what it is told as JSON: http, ws, key, secret, symbol, pause_s, timeout_s.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from decimal import ROUND_DOWN, Decimal
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class Naive:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.price = Decimal(0)
        self.held = Decimal(0)
        self.calls = 0
        self.is_over = False

    # --- what it hears ------------------------------------------------------------------------------------------------

    def follow(self, url: str, hello: dict[str, Any] | None, is_market: bool) -> None:
        try:
            with connect(url, open_timeout=5) as socket:
                if hello is not None:
                    socket.send(json.dumps(hello))
                for text in socket:
                    self.hear(json.loads(text))
        except (ConnectionClosed, OSError):
            pass
        if is_market:
            self.is_over = True

    def hear(self, said: dict[str, Any]) -> None:
        event = said.get("event", said)
        if event.get("e") == "kline":
            self.price = Decimal(event["k"]["c"])
        elif event.get("e") == "executionReport" and event["x"] == "TRADE" and event["o"] == "MARKET":
            lots = Decimal(event["l"])
            self.held += lots * Decimal("0.999") if event["S"] == "BUY" else -lots  # the fee is taken in coins

    # --- what it says -------------------------------------------------------------------------------------------------

    def signed(self, params: dict[str, Any]) -> dict[str, Any]:
        stamped = {**params, "timestamp": int(time.time() * 1000)}
        text = urlencode(stamped)
        signature = hmac.new(self.told["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
        return {**stamped, "signature": signature}

    def call(self, verb: str, path: str, **params: Any) -> bool:
        """Whether it was done, as far as it can see: an error that is not its own is tried again at once."""
        for _ in range(2):
            self.calls += 1
            url = f"{self.told['http']}{path}?{urlencode(self.signed(params))}"
            request = urllib.request.Request(url, method=verb, headers={"X-MBX-APIKEY": self.told["key"]})
            try:
                with urllib.request.urlopen(request, timeout=self.told["timeout_s"]):
                    return True
            except urllib.error.HTTPError as error:
                self.is_over |= b"Market is closed." in error.read()
                if verb == "POST" and error.code < 500:
                    return False
            except OSError:
                pass
        return False

    def order(self, side: str, kind: str, quantity: Decimal, **more: Any) -> bool:
        name = f"naive-{self.calls}"
        params = {"symbol": self.told["symbol"], "side": side, "type": kind, "quantity": f"{quantity:f}"}
        return self.call("POST", "/api/v3/order", **params, newClientOrderId=name, **more)

    def act(self, turn: int) -> None:
        """Buy, let an order rest, cancel it, sell what it takes for its own."""
        if turn == 0 and self.held <= 0:
            self.order("BUY", "MARKET", Decimal("0.5"))
        elif turn == 1:
            self.name = f"naive-{self.calls}"
            price = (self.price * Decimal("0.8")).quantize(Decimal("0.01")) // Decimal("0.25") * Decimal("0.25")
            price += Decimal("0.01")
            self.order("BUY", "LIMIT", Decimal("0.123"), price=f"{price:f}", timeInForce="GTC")
        elif turn == 2:
            self.call("DELETE", "/api/v3/order", symbol=self.told["symbol"], origClientOrderId=self.name)
        elif turn == 3 and self.held > 0:
            self.order("SELL", "MARKET", self.held.quantize(Decimal("0.00001"), ROUND_DOWN))

    def run(self) -> None:
        told = self.told
        market = f"{told['ws']}/ws/{told['symbol'].lower()}@kline_1m"
        params = {"apiKey": told["key"], "timestamp": int(time.time() * 1000)}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hmac.new(told["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
        hello = {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}
        for target in ((market, None, True), (f"{told['ws']}/ws-api/v3", hello, False)):
            threading.Thread(target=self.follow, args=target, daemon=True).start()
        began = time.monotonic()
        while not self.price and time.monotonic() - began < 10:
            time.sleep(0.01)
        turn = 0
        while not self.is_over:
            self.act(turn % 4)
            turn += 1
            time.sleep(told["pause_s"])
        sys.stdout.write(f"{self.held:f}")


if __name__ == "__main__":
    Naive(json.loads(sys.argv[1])).run()
