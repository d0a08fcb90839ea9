"""The OpenAPI document is valid, complete and true: schemathesis asks what it promises and checks what comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode, checks

from gnomon.clock import Timeframe, iso
from gnomon.score.compare import BoardRow
from gnomon.serve.gateway.answers import BoardEntry, HistoryEntry, Problem, problems
from gnomon.store.boards import BoardFilter, board_of
from gnomon.store.digests import DigestStore
from gnomon.store.engine import open_engine
from gnomon.store.slots import Slot, SlotStore, Verdict
from gnomon.store.snapshots import BoardStore, Snapshot
from gnomon.units import DAY_NS

Ask = Callable[[str, GenerationMode, int], int]
CONFORMING = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.allow_header_conformance,
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document; it depends on no database."""
    from gnomon.clock import SimClock
    from gnomon.serve.gateway.app import create_app
    from gnomon.sources.instruments import shipped_instruments

    engine = open_engine("sqlite:////tmp/never-opened.db")
    return create_app(engine, shipped_instruments(), SimClock()).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_the_document_is_valid_openapi_31(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_of_the_spec_is_documented(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/showcase/ml-prediction/{symbol}",
        "/api/v1/forecasters",
        "/api/v1/instruments",
        "/api/v1/forecasts",
        "/api/v1/forecasts/{id}",
        "/api/v1/forecasts/{id}/paths",
        "/api/v1/forecasts/{id}/scores",
        "/api/v1/scores",
        "/api/v1/board",
        "/api/v1/candles",
        "/api/v1/ledger/head",
        "/api/v1/slots",
        "/api/v1/slots/coverage",
        "/api/v1/scores/pairs",
        "/api/v1/scores/calibration",
        "/api/v1/scores/history",
        "/api/v1/ledger/digests",
        "/api/v1/ledger/export",
        "/health",
        "/metrics",
    }


def test_every_answer_has_a_shape_and_every_failure_the_one_shape(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        assert operation["summary"], path
        for status, response in operation["responses"].items():
            schema = response.get("content", {}).get("application/json", {}).get("schema", {})
            if status.startswith("2") and path != "/metrics":
                assert schema["$ref"], path
            elif status.startswith(("4", "5")):
                assert schema == {"$ref": "#/components/schemas/Problem"}, (path, status)


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] == "path" or parameter["description"], (path, parameter["name"])


def test_no_two_operations_share_an_id(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_a_problem_is_the_document_of_an_error() -> None:
    from gnomon.errors import NotFound

    Problem.model_validate(NotFound("what", hint="how", detail={"a": 1}).document())
    assert set(problems(404, 503)) == {404, 503}


# --- schemathesis -----------------------------------------------------------------------------------------------------


@pytest.fixture
def conforming(world: Any, client: Any) -> Ask:
    """Asks generated questions of one path, every other one about what is stored; how often the answer was 200."""
    world.import_bars(bars=60)
    first = world.issue(paths=np.full((5, 6), 60_000.0))
    world.score(first, 60_100.0)
    world.score(world.issue(forecaster="fhs", calibrated=world.fan(60_000.0, 6), calibration_id=1), 59_000.0)
    remember(world)
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)

    def ask(path: str, mode: GenerationMode, examples: int) -> int:
        answered = 0
        operation = schema[path]["GET"]

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), about_stored=st.booleans())
        def check(case: Any, about_stored: bool) -> None:
            nonlocal answered
            if about_stored:
                steer(case)
            answered += case.call_and_validate(checks=CONFORMING).status_code == 200

        check()
        return answered

    return ask


def remember(world: Any) -> None:
    """A slot, a digest and a snapshot."""
    due_ns = world.clock.now_ns() - DAY_NS
    slots, slot = SlotStore(world.engine), Slot("binance:BTCUSDT", "1h", "ewma", due_ns, due_ns)
    slots.declare([slot])
    slots.settle([Verdict(slot, "missed", "no bar")])
    asked = {"lane": "live", "timeframe": "1h", "group": "all", "stage": "raw"}
    rows = [one.row() for one in board_of(world.scores, BoardFilter("live", Timeframe.parse("1h")))]
    BoardStore(world.engine).insert(Snapshot(due_ns, asked, rows, "0" * 64))
    DigestStore(world.engine).close_day(iso(world.clock.now_ns())[:10])


WITHOUT_PARAMETERS = ["/health", "/metrics"]
STORED = {"symbol": "BTCUSDT", "id": 1, "model": "ewma", "timeframe": "1h", "cursor": "", "from": "2024-01-01"}
STORED |= {"to": "2025-01-01", "as_of": "2024-05-01T12:30:00Z"}


def steer(case: Any) -> None:
    """Ask about what is stored, as far as the question names it."""
    for place in (case.path_parameters, case.query):
        for name in place or ():
            place[name] = STORED.get(name, place[name])


PATHS = [
    "/showcase/ml-prediction/{symbol}",
    "/api/v1/forecasters",
    "/api/v1/instruments",
    "/api/v1/forecasts",
    "/api/v1/forecasts/{id}",
    "/api/v1/forecasts/{id}/paths",
    "/api/v1/forecasts/{id}/scores",
    "/api/v1/scores",
    "/api/v1/board",
    "/api/v1/candles",
    "/api/v1/ledger/head",
    "/api/v1/slots",
    "/api/v1/slots/coverage",
    "/api/v1/scores/pairs",
    "/api/v1/scores/calibration",
    "/api/v1/scores/history",
    "/api/v1/ledger/digests",
    "/api/v1/ledger/export",
    "/health",
    "/metrics",
]


EXAMPLES = int(os.environ.get("GNOMON_EXAMPLES", "10"))
"""Of each path and mode, on each database."""


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_whatever_is_asked_the_answer_is_as_documented(
    conforming: Ask, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    for path in PATHS:
        if mode is GenerationMode.POSITIVE or path not in WITHOUT_PARAMETERS:
            with subtests.test(path=path):
                answered = conforming(path, mode, EXAMPLES)
                assert answered > 0 or mode is GenerationMode.NEGATIVE


def test_an_entry_of_history_is_a_board_s_entry_and_its_snapshot() -> None:
    more = {"as_of", "timeframe", "group", "stage", "ledger_head", "snapshot"}
    assert set(HistoryEntry.model_fields) == set(BoardEntry.model_fields) | more


def test_a_board_s_entry_promises_the_columns_of_the_board() -> None:
    assert list(BoardEntry.model_fields) == [column.name for column in fields(BoardRow)]
