"""Every failure has the one outside shape, and tells nothing that is not for outside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from gnomon.clock import SimClock
from gnomon.errors import Conflict, Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.serve.gateway.app import create_app
from gnomon.serve.gateway.errors import STATUS, refusal
from gnomon.sources.instruments import shipped_instruments
from gnomon.store.engine import open_engine

SHAPE = ["error", "message", "hint", "detail"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [(NotFound, 404), (Invalid, 400), (Conflict, 409), (Refused, 403), (Unavailable, 503), (Exhausted, 429)],
)
def test_each_error_of_the_tree_has_its_status(kind: type[GnomonError], status: int) -> None:
    answer = refusal(kind("what", hint="how", detail={"a": 1}))
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) is (status == 503)


def test_the_tree_and_the_statuses_are_one() -> None:
    assert set(STATUS) == set(GnomonError.__subclasses__())


REFUSED = [
    ("GET", "/nope", 404),
    ("GET", "/api/v1/forecast", 404),
    ("GET", "/api/v1/forecasts/999", 404),
    ("GET", "/static/nope.js", 404),
    ("GET", "/static/../app.py", 404),
    ("POST", "/api/v1/forecasts", 405),
    ("DELETE", "/showcase/ml-prediction/BTCUSDT", 405),
    ("GET", "/api/v1/forecasts?limit=many", 422),
    ("GET", "/api/v1/forecasts/first", 422),
    ("GET", "/api/v1/forecasts?forecaster=%00", 422),
    ("GET", "/api/v1/forecasts?symbol=nope", 404),
    ("GET", "/api/v1/forecasts?cursor=x", 400),
    ("GET", "/api/v1/candles?symbol=BTCUSDT&timeframe=x", 400),
    ("GET", "/api/v1/candles", 422),
]


def test_every_refusal_has_the_one_shape(client: Any, subtests: pytest.Subtests) -> None:
    for method, url, status in REFUSED:
        with subtests.test(method=method, url=url):
            answer = client.request(method, url)
            problem = answer.json()
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/json"
            assert list(problem) == SHAPE
            assert all(isinstance(problem[name], str) and problem[name] for name in SHAPE[:3])
            assert isinstance(problem["detail"], dict)


def test_a_path_that_is_nearly_right_is_told_the_right_one(client: Any) -> None:
    assert "/api/v1/forecasts" in client.json("/api/v1/forcasts", 404)["hint"]


def test_a_wrong_method_is_told_the_right_ones(client: Any) -> None:
    answer = client.request("PUT", "/api/v1/ledger/head")
    assert answer.headers["allow"] == "GET, HEAD"
    assert "GET" in answer.json()["hint"]


def test_a_wrong_parameter_is_named_with_what_was_received(client: Any) -> None:
    problem = client.json("/api/v1/forecasts", 422, limit=5000)
    assert problem["message"] == "limit: input should be less than or equal to 1000, received '5000'"
    assert problem["detail"]["problems"][0]["where"] == "limit"


def test_a_fault_of_ours_is_500_without_its_trace(
    client: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(client.app.state.reading.ledger, "head", fail)
    with caplog.at_level(logging.ERROR, "gnomon.gateway"):
        problem = client.json("/api/v1/ledger/head", 500)
    assert list(problem) == SHAPE
    assert "secret" not in str(problem)
    assert "a secret of the inside" in caplog.text


def test_a_database_without_tables_is_503_and_says_nothing_of_where_it_is(
    database_url: str, connect: Callable[[Any], Any], subtests: pytest.Subtests
) -> None:
    engine = open_engine(database_url)
    client = connect(create_app(engine, shipped_instruments(), SimClock(10**18)))
    for url in (
        "/showcase/ml-prediction/BTCUSDT",
        *(f"/api/v1/{name}" for name in ("forecasts", "board", "instruments")),
    ):
        with subtests.test(url=url):
            answer = client.get(url)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["error"] == "unavailable"
            assert str(engine.url.database) not in answer.text
    engine.dispose()


def test_a_driver_that_gives_up_is_503(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("select 1", {}, ConnectionError("host 10.0.0.7 is away"))

    monkeypatch.setattr(client.app.state.reading.ledger, "head", away)
    problem = client.json("/api/v1/ledger/head", 503)
    assert "10.0.0.7" not in str(problem)
