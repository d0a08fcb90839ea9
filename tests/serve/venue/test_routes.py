"""Paths, methods, weights."""

from __future__ import annotations

import pytest

from gnomon.serve.venue.routes import METHODS, ROUTES, TRADE, USER_DATA, Route


def weight(route: Route, params: dict[str, str]) -> int:
    return route.weigh(params) if route.weigh is not None else route.weight


@pytest.mark.parametrize(
    ("verb", "path", "method", "security"),
    [
        ("GET", "/api/v3/ping", "ping", ""),
        ("GET", "/api/v3/ticker/bookTicker", "ticker.book", ""),
        ("POST", "/api/v3/order", "order.place", TRADE),
        ("DELETE", "/api/v3/order", "order.cancel", TRADE),
        ("GET", "/api/v3/order", "order.status", USER_DATA),
        ("PUT", "/api/v3/order/amend/keepPriority", "order.amend.keepPriority", TRADE),
        ("POST", "/api/v3/orderList/otoco", "orderList.place.otoco", TRADE),
        ("GET", "/api/v3/account", "account.status", USER_DATA),
    ],
)
def test_a_path_is_a_method_of_the_socket(verb: str, path: str, method: str, security: str) -> None:
    route = ROUTES[verb.encode(), path.encode()]
    assert (route.method, route.security) == (method, security)


def test_every_path_names_a_method_that_the_socket_knows_but_those_of_listen_keys() -> None:
    ours = {"sim.view", "sim.send"}  # of the WebSocket API alone
    assert {one.method for one in ROUTES.values() if not one.key_only} | ours == set(METHODS)


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("depth", {}, 5),
        ("depth", {"limit": "101"}, 25),
        ("depth", {"limit": "1000"}, 50),
        ("depth", {"limit": "5000"}, 250),
        ("depth", {"limit": "9" * 5_000}, 5),
        ("depth", {"limit": "many"}, 5),
        ("ticker.24hr", {"symbol": "BTCUSDT"}, 2),
        ("ticker.24hr", {"symbols": '["A","B"]'}, 2),
        ("ticker.24hr", {"symbols": str(["A"] * 21).replace("'", '"')}, 40),
        ("ticker.24hr", {}, 80),
        ("ticker", {"symbols": str(["A"] * 90).replace("'", '"')}, 200),
        ("ticker.price", {}, 4),
        ("ticker.price", {"symbol": "A"}, 2),
        ("openOrders.status", {}, 80),
        ("openOrders.status", {"symbol": "A"}, 6),
        ("myTrades", {"orderId": "1"}, 5),
        ("myTrades", {}, 20),
        ("order.place", {}, 1),
        ("order.test", {"computeCommissionRates": "true"}, 20),
        ("account.rateLimits.orders", {}, 40),
    ],
)
def test_weights_follow_the_parameters(method: str, params: dict[str, str], expected: int) -> None:
    assert weight(METHODS[method], params) == expected


def test_lists_count_their_legs_as_unfilled_orders() -> None:
    counts = {name: METHODS[name].orders for name in ("order.place", "orderList.place.oco", "orderList.place.otoco")}
    assert counts == {"order.place": 1, "orderList.place.oco": 2, "orderList.place.otoco": 3}
    assert METHODS["order.amend.keepPriority"].orders == 0
