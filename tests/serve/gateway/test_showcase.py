"""The showcase route: what it answers, from where, and when memory lets go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from gnomon.clock import iso, parse_instant
from gnomon.serve.gateway import boards, watch
from gnomon.store.calibrations import CalibrationStore, StoredCalibration
from gnomon.store.engine import open_engine
from gnomon.store.forecasts import ForecastLedger
from gnomon.units import HOUR_NS

BTC = "/showcase/ml-prediction/BTCUSDT"
EWMA = f"{BTC}?model=ewma"


@contextmanager
def statements(world: Any) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    seen: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(world.engine, "before_cursor_execute", listen)
    try:
        yield seen
    finally:
        event.remove(world.engine, "before_cursor_execute", listen)


@pytest.fixture
def without_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch trusts what it has seen, except for commits of this process."""
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 1e9)


# --- what it says -----------------------------------------------------------------------------------------------------


def test_every_field_of_the_document(world: Any, client: Any) -> None:
    world.issue(forecaster="kronos-base", role="model", params={"revision": "abc"})
    world.advance(90)
    found = client.json(BTC)
    row = world.ledger.latest("binance:BTCUSDT", "1h", "kronos-base")
    assert found == {
        "symbol": "BTCUSDT",
        "timeframe": "1h",
        "basis": "raw",
        "model": "kronos-base",
        "model_version": "1",
        "p10": row.p10,
        "p50": row.p50,
        "p90": row.p90,
        "generated_at": "2024-05-01T12:30:00Z",
        "data_cutoff": "2024-05-01T12:00:00Z",
        "valid_until": "2024-05-01T13:10:00Z",
        "stale": False,
        "next_issue_at": "2024-05-01T13:00:00Z",
        "pred_len": 6,
        "target_timestamps": [f"2024-05-01T{hour}:00:00Z" for hour in (13, 14, 15, 16, 17, 18)],
        "base_price": 60_000.0,
        "p_up": [0.5] * 6,
        "event_context": {},
        "forecast_id": row.id,
        "row_hash": row.row_hash,
        "revision": "abc",
        "calibration": None,
        "raw": {"p10": row.p10, "p50": row.p50, "p90": row.p90},
        "age_seconds": 90,
    }


def test_the_seeds_answer_comes_first(world: Any, client: Any) -> None:
    world.issue(forecaster="kronos-base")
    names = list(client.json(BTC))
    assert names[names.index("model_version") + 1 :][:4] == ["p10", "p50", "p90", "generated_at"]


def test_any_name_of_an_instrument_leads_to_it(world: Any, client: Any) -> None:
    world.issue()
    for name in ("BTCUSDT", "btcusdt", "BTC-USD", "binance:BTCUSDT"):
        assert client.json(f"/showcase/ml-prediction/{name}", model="ewma")["symbol"] == "BTCUSDT"


def test_a_second_model_changes_nothing_of_the_default_answer(world: Any, client: Any) -> None:
    world.issue(forecaster="kronos-base")
    before = client.get(BTC)
    world.issue(forecaster="chronos-2", drift=0.01)
    after = client.get(BTC)
    assert before.content == after.content
    assert client.json(BTC, model="chronos-2")["model"] == "chronos-2"


def test_the_newest_issue_wins_and_backfills_are_never_served(world: Any, client: Any) -> None:
    world.issue(base=100.0)
    world.advance(3600)
    world.issue(base=200.0)
    world.issue(base=300.0, cutoff="2024-04-30T00:00:00Z", lane="backfill")
    assert client.json(EWMA)["base_price"] == 200.0


def test_each_part_that_is_asked_for_is_included(world: Any, client: Any) -> None:
    paths = np.linspace(59_000.0, 61_000.0, 30 * 6).reshape(30, 6)
    world.issue()
    number = world.issue(forecaster="fhs", width=0.02, paths=paths)
    world.score(number, 60_100.0)
    found = client.json(BTC, model="fhs", include="quantiles,samples,baseline,scores,bars")
    assert np.array(found["quantiles"]["values"]).shape == (6, 13)
    assert found["quantiles"]["kind"] == "raw"
    np.testing.assert_allclose(np.array(found["quantiles"]["values"])[:, 6], found["p50"], rtol=1e-6)
    np.testing.assert_allclose(found["samples"], paths, rtol=1e-6)
    naive = world.ledger.latest("binance:BTCUSDT", "1h", "ewma")
    assert found["baseline"] == {"model": "ewma", "p10": naive.p10, "p50": naive.p50, "p90": naive.p90}
    assert {"bucket", "n", "skill", "low", "high", "verdict"} == set(found["scores"])
    assert found["scores"]["n"] == 3
    assert found["bars"] == []
    bare = client.json(BTC, model="fhs")
    assert set(found) - set(bare) == {"quantiles", "samples", "baseline", "scores", "bars"}


def test_parts_may_be_repeated_or_separated_by_commas(world: Any, client: Any) -> None:
    world.issue()
    repeated = client.get(f"{EWMA}&include=quantiles&include=baseline")
    assert repeated.content == client.get(f"{EWMA}&include=baseline, quantiles,").content


def test_what_is_absent_is_null_or_says_so(world: Any, client: Any) -> None:
    world.issue(forecaster="fhs")
    found = client.json(BTC, model="fhs", include="samples,baseline,scores")
    assert (found["samples"], found["baseline"]) == (None, None)
    assert found["scores"]["verdict"] == "nothing scored yet"


def test_the_baseline_is_of_the_same_cutoff(world: Any, client: Any) -> None:
    world.issue(cutoff="2024-05-01T11:00:00Z")
    world.issue(forecaster="fhs")
    assert client.json(BTC, model="fhs", include="baseline")["baseline"] is None


def test_calibrated_quantiles_are_served_and_the_raw_ones_stand_beside(world: Any, client: Any) -> None:
    world.issue(calibrated=world.fan(60_000.0, 6, width=0.03), calibration_id=5)
    found = client.json(EWMA, include="quantiles")
    assert found["quantiles"]["kind"] == "calibrated"
    assert found["calibration"] == {"id": 5, "method": None, "fitted_until": None}
    assert found["p90"][0] > found["raw"]["p90"][0] > found["p50"][0]
    np.testing.assert_allclose(found["raw"]["p90"], world.fan(60_000.0, 6)[:, 11], rtol=1e-6)


@pytest.mark.parametrize("method", ["tracker", "split"])
def test_an_answer_names_the_fit_behind_its_curve(world: Any, client: Any, method: str) -> None:
    fitted_ns = parse_instant("2024-05-01")
    fit = StoredCalibration(
        "live", "", "ewma", "1", "binance:BTCUSDT", "1h", "raw", fitted_ns, fitted_ns - HOUR_NS, method, 7
    )
    (id_,) = CalibrationStore(world.engine).insert([fit])
    world.issue(calibrated=world.fan(60_000.0, 6, width=0.03), calibration_id=id_)
    found = client.json(EWMA)["calibration"]
    assert found == {"id": id_, "method": method, "fitted_until": "2024-04-30T23:00:00Z"}


# --- refusals -----------------------------------------------------------------------------------------------------


def test_an_unknown_symbol_is_404_with_the_nearest_names(client: Any) -> None:
    problem = client.json("/showcase/ml-prediction/BTCUSDX", 404)
    assert problem["detail"]["nearest"][0] == "BTCUSDT"
    assert "BTCUSDT" in problem["hint"]


def test_nothing_issued_is_404_with_the_command_to_run_and_who_has_issued(world: Any, client: Any) -> None:
    assert client.json(BTC, 404)["detail"]["issued_by"] == []
    world.issue()
    problem = client.json(BTC, 404)
    command = "gnomon forecast --timeframe 1h --horizon 24 --instruments BTCUSDT --forecasters kronos-base"
    assert command in problem["hint"]
    assert "?model=ewma" in problem["hint"]
    assert problem["detail"]["issued_by"] == ["ewma"]


BROKEN = [
    ("model=kronos-bse", "no forecaster 'kronos-bse'", "kronos-base"),
    ("model=", "no forecaster ''", "one of kronos-base"),
    ("timeframe=1x", "not a timeframe: '1x'", "1h or 1d"),
    ("as_of=yesterday", "not an instant: 'yesterday'", "ISO 8601"),
    ("as_of=1677-09-21T00:12:44Z%2B23:59", "not an instant", "ISO 8601"),
    ("include=sample", "nothing to include is called 'sample'", "samples"),
]


def test_a_question_that_breaks_a_rule_is_400(client: Any, subtests: pytest.Subtests) -> None:
    for query, says, hints in BROKEN:
        with subtests.test(query=query):
            problem = client.json(f"{BTC}?{query}", 400)
            assert problem["error"] == "invalid"
            assert says in problem["message"]
            assert hints in problem["hint"]


def test_a_forecaster_that_has_issued_is_known_whatever_its_name(world: Any, client: Any) -> None:
    assert client.json(BTC, 400, model="mine")["error"] == "invalid"
    world.issue(forecaster="mine")
    assert client.json(BTC, model="mine")["model"] == "mine"


# --- as of ----------------------------------------------------------------------------------------------------------


def test_as_of_answers_with_what_had_been_issued_by_then_for_ever(world: Any, client: Any) -> None:
    first = iso(world.clock.now_ns())
    world.issue(base=100.0)
    world.advance(3600)
    world.issue(base=200.0)
    world.advance(3600)
    then = client.get(BTC, params={"model": "ewma", "as_of": first})
    assert then.json()["base_price"] == 100.0
    assert then.json()["age_seconds"] == 0
    assert then.headers["cache-control"] == "public, max-age=86400, immutable"
    assert not then.json()["stale"]
    world.advance(86_400)
    world.issue(base=300.0)
    assert client.get(BTC, params={"model": "ewma", "as_of": first}).content == then.content
    assert client.json(BTC, model="ewma", as_of="2024-05-01T13:20:00Z")["stale"]


def test_as_of_before_the_first_issue_is_404(world: Any, client: Any) -> None:
    world.issue()
    assert "by 2024-05-01T12:29:59Z" in client.json(BTC, 404, model="ewma", as_of="2024-05-01T12:29:59Z")["message"]


def test_as_of_in_the_future_is_now_and_becomes_a_past(world: Any, client: Any) -> None:
    later = iso(world.clock.now_ns() + HOUR_NS)
    world.issue(base=100.0)
    now = client.get(BTC, params={"model": "ewma", "as_of": later})
    assert now.headers["cache-control"].startswith("public, max-age=1800")
    world.advance(7200)
    world.issue(base=200.0)
    world.advance(60)
    then = client.get(BTC, params={"model": "ewma", "as_of": later})
    assert then.json()["base_price"] == 100.0
    assert "immutable" in then.headers["cache-control"]


def test_as_of_this_very_moment_may_still_gain_a_row(world: Any, client: Any) -> None:
    world.issue(base=100.0, cutoff="2024-05-01T11:00:00Z")
    world.advance(1)
    moment = iso(world.clock.now_ns())
    world.advance(1)
    first = client.get(BTC, params={"model": "ewma", "as_of": moment})
    assert first.headers["cache-control"] == "no-cache"
    late = open_engine(str(world.engine.url.render_as_string(hide_password=False)))
    world.clock.at_ns -= 10**9  # stamped before, committed after
    world.issue(base=200.0, ledger=ForecastLedger(late))
    world.clock.at_ns += 10**9
    late.dispose()
    assert client.json(BTC, model="ewma", as_of=moment)["base_price"] == 200.0


# --- caching outside --------------------------------------------------------------------------------------------------


def test_the_etag_names_the_answer_and_spares_sending_it(world: Any, client: Any) -> None:
    number = world.issue()
    first = client.get(EWMA)
    etag = first.headers["etag"]
    assert etag.startswith(f'"{number}-0-')
    for header in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = client.get(EWMA, headers={"if-none-match": header})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == first.headers["cache-control"]
    assert client.get(EWMA, headers={"if-none-match": '"other"'}).status_code == 200


def test_the_etag_changes_with_what_is_included_and_with_a_newer_forecast(world: Any, client: Any) -> None:
    world.issue()
    etags = {client.get(url).headers["etag"] for url in (EWMA, f"{EWMA}&include=quantiles", f"{EWMA}&include=baseline")}
    world.advance(3600)
    world.issue()
    etags.add(client.get(EWMA).headers["etag"])
    assert len(etags) == 4


def test_the_same_etag_for_the_same_answer_after_a_restart(
    world: Any, client: Any, connect: Callable[[Any], Any]
) -> None:
    world.issue()
    assert client.get(EWMA).headers["etag"] == connect(world.app()).get(EWMA).headers["etag"]


def test_growing_stale_is_told_and_changes_the_etag(world: Any, client: Any) -> None:
    world.issue()
    fresh = client.get(EWMA)
    world.clock.advance_to(parse_instant("2024-05-01T13:09:59Z"))
    last = client.get(EWMA)
    assert (last.json()["stale"], last.headers["etag"]) == (False, fresh.headers["etag"])
    assert last.headers["cache-control"] == "public, max-age=1, stale-if-error=86400"
    world.advance(1)
    stale = client.get(EWMA, headers={"if-none-match": fresh.headers["etag"]})
    assert stale.status_code == 200
    assert stale.json()["stale"]
    assert stale.json()["next_issue_at"] is None
    assert stale.json()["age_seconds"] == 40 * 60
    assert stale.headers["cache-control"] == "public, max-age=0, stale-if-error=86400"


def test_any_key_of_the_seeds_is_accepted_and_ignored(world: Any, client: Any) -> None:
    world.issue()
    answered = client.get(EWMA, headers={"SHOWCASE_API_KEY": "anything"})
    assert answered.content == client.get(EWMA).content


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_looks")
def test_an_answer_from_memory_asks_nothing_of_the_database(world: Any, client: Any) -> None:
    world.issue()
    first = client.get(EWMA)
    spelled = f"{BTC}?timeframe=60min&model=ewma"
    client.get(spelled)
    with statements(world) as asked:
        assert client.get(EWMA).content == first.content
        assert client.get(spelled).content == first.content
        assert client.get(EWMA, headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert asked == []


@pytest.mark.usefixtures("without_looks")
def test_another_spelling_of_a_known_question_asks_nothing_either(world: Any, client: Any) -> None:
    world.issue()
    first = client.get(EWMA)
    with statements(world) as asked:
        assert client.get(f"/showcase/ml-prediction/BTC-USD?model=ewma&junk={1}").content == first.content
    assert asked == []


def test_a_newer_forecast_is_served_at_once_when_this_process_inserts_it(
    world: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 1e9)
    world.issue(base=100.0)
    assert client.json(EWMA)["base_price"] == 100.0
    world.advance(3600)
    world.issue(base=200.0)
    assert client.json(EWMA)["base_price"] == 200.0


def test_a_newer_forecast_is_served_when_another_process_inserts_it(
    world: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.issue(base=100.0)
    world.issue("EURUSD", base=1.0)
    assert client.json(EWMA)["base_price"] == 100.0
    kept = client.get("/showcase/ml-prediction/EURUSD?model=ewma").content
    monkeypatch.setattr(watch, "LOOK_EVERY_S", -1.0)  # a tenth of a second later
    stranger = open_engine(world.engine.url.render_as_string(hide_password=False))
    world.issue(base=200.0, cutoff="2024-05-01T12:00:00Z", forecaster="fhs", ledger=ForecastLedger(stranger))
    world.advance(1)
    world.issue(base=200.0, cutoff="2024-05-01T11:00:00Z", ledger=ForecastLedger(stranger))
    stranger.dispose()
    assert client.json(EWMA)["base_price"] == 200.0
    with statements(world) as asked:
        assert client.get("/showcase/ml-prediction/EURUSD?model=ewma").json()["age_seconds"] == 1
        assert kept
    assert not [one for one in asked if "p10" in one]  # the other instrument stayed in memory


def test_a_look_is_due_again_after_a_tenth_of_a_second(world: Any, client: Any) -> None:
    import time

    world.issue(base=100.0)
    client.get(EWMA)
    stranger = open_engine(world.engine.url.render_as_string(hide_password=False))
    world.advance(3600)
    world.issue(base=200.0, ledger=ForecastLedger(stranger))
    stranger.dispose()
    time.sleep(0.11)
    assert client.json(EWMA)["base_price"] == 200.0


def test_an_insert_ends_a_remembered_absence(world: Any, client: Any) -> None:
    assert client.get(EWMA).status_code == 404
    with statements(world) as asked:
        assert client.get(EWMA).status_code == 404
    assert not [one for one in asked if "p10" in one]
    world.issue()
    assert client.get(EWMA).status_code == 200


@pytest.mark.usefixtures("without_looks")
def test_an_absence_is_looked_for_again_after_five_seconds(world: Any, client: Any) -> None:
    client.get(EWMA)
    with statements(world) as asked:
        client.get(EWMA)
        client.get("/showcase/ml-prediction/NOPE")
        known = len(asked)
        client.get("/showcase/ml-prediction/NOPE")
        assert len(asked) == known
    world.advance(5)
    with statements(world) as asked:
        client.get(EWMA)
    assert [one for one in asked if "p10" in one]


def asks(world: Any, client: Any, url: str) -> bool:
    with statements(world) as asked:
        assert client.get(url).status_code == 200
    return bool(asked)


@pytest.mark.usefixtures("without_looks")
def test_memory_keeps_no_answer_for_more_than_half_an_hour(world: Any, client: Any) -> None:
    world.issue(timeframe="1d")
    url = f"{EWMA}&timeframe=1d"
    assert asks(world, client, url)
    world.advance(1799)
    assert not asks(world, client, url)
    world.advance(1)
    assert asks(world, client, url)


@pytest.mark.usefixtures("without_looks")
def test_memory_keeps_no_answer_past_its_validity(world: Any, client: Any) -> None:
    world.issue()
    world.clock.advance_to(parse_instant("2024-05-01T13:00:00Z"))
    assert asks(world, client, EWMA)
    world.clock.advance_to(parse_instant("2024-05-01T13:09:59Z"))
    assert not asks(world, client, EWMA)
    world.advance(1)
    assert asks(world, client, EWMA)
    assert not asks(world, client, EWMA)  # a stale answer says so, and is kept for seconds
    world.advance(5)
    assert asks(world, client, EWMA)


@pytest.mark.usefixtures("without_looks")
def test_an_answer_with_scores_is_kept_for_a_minute(world: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "KEEP_TIMES", 0.0)
    number = world.issue()
    url = f"{EWMA}&include=scores"
    assert asks(world, client, url)
    world.score(number, 60_100.0)
    world.advance(59)
    assert client.get(url).status_code == 200
    world.advance(1)
    assert client.json(url)["scores"]["n"] == 3


@pytest.mark.usefixtures("without_looks")
def test_readers_who_miss_together_share_one_reading(world: Any, client: Any) -> None:
    world.issue()
    with statements(world) as asked:
        answers = client.together(*[EWMA] * 20)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len([one for one in asked if "p10" in one]) == 1


def test_an_instrument_imported_after_the_start_is_found(world: Any, client: Any) -> None:
    from dataclasses import replace

    from gnomon.market.instrument import Instruments

    assert client.get("/showcase/ml-prediction/NEWCOIN?model=ewma").status_code == 404
    coin = replace(world.instruments.find("BTCUSDT"), symbol="NEWCOIN", sources={})
    world.instruments = Instruments([coin])
    world.import_bars("NEWCOIN", bars=60)
    world.issue("NEWCOIN")
    assert client.json("/showcase/ml-prediction/newcoin", model="ewma")["symbol"] == "NEWCOIN"
