"""What every request passes: limits, methods, headers for other origins, counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

EWMA = "/showcase/ml-prediction/BTCUSDT?model=ewma"


def counted(client: Any, name: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {tuple(one.labels.values()): one.value for family in families for one in family.samples if one.name == name}


def test_pages_of_any_origin_may_read_the_public_routes(world: Any, client: Any) -> None:
    world.issue()
    absent = "/showcase/ml-prediction/NOPE"
    for url in (EWMA, EWMA, absent, absent, "/api/v1/ledger/head", "/api/v1/nope", "/api/v1/forecasts?limit=0"):
        answer = client.get(url, headers={"origin": "https://example.org"})
        assert answer.headers.get_list("access-control-allow-origin") == ["*"], url


def test_a_page_may_ask_first_which_headers_are_allowed(client: Any) -> None:
    asked = {
        "origin": "https://example.org",
        "access-control-request-method": "GET",
        "access-control-request-headers": "showcase_api_key",
    }
    answer = client.request("OPTIONS", EWMA, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "showcase_api_key"
    assert "GET" in answer.headers["access-control-allow-methods"]


def test_the_page_itself_is_not_for_other_origins(client: Any) -> None:
    assert "access-control-allow-origin" not in client.get("/").headers


def test_head_is_get_without_the_body(world: Any, client: Any) -> None:
    world.issue()
    for url in (EWMA, EWMA, "/showcase/ml-prediction/NOPE", "/api/v1/forecasts", "/health", "/", "/nope"):
        full, head = client.get(url), client.request("HEAD", url)
        assert head.content == b""
        assert head.status_code == full.status_code
        for name in ("content-type", "content-length", "etag"):
            assert head.headers.get(name) == full.headers.get(name)


def test_head_answers_304_too(world: Any, client: Any) -> None:
    world.issue()
    etag = client.get(EWMA).headers["etag"]
    assert client.request("HEAD", EWMA, headers={"if-none-match": etag}).status_code == 304


def test_an_address_beyond_its_limit_is_429_with_when_to_come_back(world: Any, connect: Callable[[Any], Any]) -> None:
    world.issue()
    client = connect(world.app(requests_per_minute=3))
    assert [client.get(EWMA).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get("/api/v1/ledger/head")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "20"
    assert refused.headers["access-control-allow-origin"] == "*"
    assert refused.json()["error"] == "exhausted"
    assert "20 s" in refused.json()["hint"]
    assert client.get("/health").status_code == client.get("/").status_code == 200  # these are not limited
    world.advance(20)
    assert client.get(EWMA).status_code == 200


def test_requests_are_counted_by_route_not_by_path(world: Any, client: Any) -> None:
    world.issue()
    number = world.issue(forecaster="fhs")
    for url in (EWMA, EWMA, "/showcase/ml-prediction/NOPE", f"/api/v1/forecasts/{number}", "/nope", "/nope2"):
        client.get(url)
    found = counted(client, "gnomon_gateway_requests_total")
    showcase = "/showcase/ml-prediction/{symbol}"
    assert found[showcase, "200"] == 2
    assert found[showcase, "404"] == 1
    assert found["/api/v1/forecasts/{id}", "200"] == 1
    assert found["unmatched", "404"] == 2


def test_lookups_in_memory_are_counted(world: Any, client: Any) -> None:
    world.issue()
    absent = "/showcase/ml-prediction/BTCUSDT"
    for url in (EWMA, EWMA, f"{EWMA}&timeframe=1h", absent, absent):
        client.get(url)
    assert counted(client, "gnomon_gateway_cache_total") == {("miss",): 2, ("hit",): 2, ("absent",): 1}
