"""The track record: slots, pairs, curves, what boards said, digests."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import urlencode

import pyarrow.parquet
import pytest

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.store.boards import BoardFilter, pairs_of, reliability_of
from gnomon.store.digests import DigestStore
from gnomon.store.slots import Slot, SlotStore, Verdict
from gnomon.store.snapshots import BoardStore, Snapshot
from gnomon.units import DAY_NS, HOUR_NS

API = "/api/v1"
HOURLY = Timeframe.parse("1h")
DUE_NS = parse_instant("2024-05-01T00:00:00Z")


def every_page(client: Any, url: str, **params: Any) -> list[dict[str, Any]]:
    """All rows of a list, page by page."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = client.json(f"{API}{url}", **params, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= params.get("limit", 100)
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows
        assert page["items"]


def files(client: Any, url: str) -> tuple[list[dict[str, str]], list[dict[str, Any]], Any]:
    """The rows of a list as CSV and as Parquet, and the header with the cursor, which both have."""
    joined = f"{API}{url}{'&' if '?' in url else '?'}format="
    as_csv, as_parquet = client.get(f"{joined}csv"), client.get(f"{joined}parquet")
    assert as_csv.headers.get("x-next-cursor") == as_parquet.headers.get("x-next-cursor")
    rows = pyarrow.parquet.read_table(io.BytesIO(as_parquet.content)).to_pylist()
    return list(csv.DictReader(io.StringIO(as_csv.text))), rows, as_csv.headers.get("x-next-cursor")


# --- slots ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def slots(world: Any) -> list[Slot]:
    """Six hours of two forecasters on two instruments: issued, late, missed, and the last hour still due."""
    store = SlotStore(world.engine)
    made = [
        Slot(instrument, "1h", name, DUE_NS + hour * HOUR_NS, DUE_NS + hour * HOUR_NS + 7)
        for hour in range(6)
        for instrument in ("binance:BTCUSDT", "fx:EURUSD")
        for name in ("ewma", "fhs")
    ]
    old = Slot("binance:BTCUSDT", "1h", "ewma", DUE_NS - 60 * DAY_NS, DUE_NS - 60 * DAY_NS)
    store.declare([*made, old, Slot("us:SPY", "1d", "ewma", DUE_NS, DUE_NS)])
    verdicts = [Verdict(one, "issued") for one in made[:12]]
    verdicts += [Verdict(one, "late", "slow") for one in made[12:14]]
    store.settle([*verdicts, *(Verdict(one, "missed", "no bar") for one in made[14:20])])
    return [*made, old]


def test_pages_of_slots_hold_each_once_newest_first(client: Any, slots: list[Slot]) -> None:
    for limit in (1, 3, 4, 100):
        rows = every_page(client, "/slots", limit=limit)
        keys = [(row["due_at"], row["forecaster"], row["instrument"]) for row in rows]
        expected = sorted(slots, key=lambda one: (-one.due_ns, one.forecaster, one.instrument))
        assert keys == [(iso(one.due_ns), one.forecaster, one.instrument) for one in expected]


@pytest.mark.usefixtures("slots")
def test_filters_of_slots(client: Any, subtests: pytest.Subtests) -> None:
    expected: list[tuple[dict[str, str], int]] = [
        ({"timeframe": "1d"}, 1),
        ({"symbol": "BTC-USD"}, 13),
        ({"forecaster": "fhs"}, 12),
        ({"status": "missed"}, 6),
        ({"status": "late", "forecaster": "ewma"}, 1),
        ({"from": "2024-05-01T05:00:00Z"}, 4),
        ({"to": "2024-05-01T00:00:00Z"}, 1),
    ]
    for params, count in expected:
        with subtests.test(**params):
            assert len(every_page(client, f"/slots?{urlencode(params)}")) == count
    missed = client.json(f"{API}/slots?status=missed")["items"]
    assert {(row["why"], row["forecast_id"]) for row in missed} == {("no bar", None)}


@pytest.mark.usefixtures("slots")
def test_slots_in_every_format(client: Any) -> None:
    page = client.json(f"{API}/slots", limit=5)
    as_csv, as_parquet, cursor = files(client, "/slots?limit=5")
    assert as_parquet == page["items"]
    assert [row["due_at"] for row in as_csv] == [row["due_at"] for row in page["items"]]
    assert cursor == page["next_cursor"] is not None


@pytest.mark.usefixtures("slots")
def test_coverage_counts_what_came_of_slots_of_the_last_thirty_days(client: Any) -> None:
    rows = {row["forecaster"]: row for row in client.json(f"{API}/slots/coverage")["items"]}
    assert rows["ewma"] == {
        "forecaster": "ewma",
        "slots": 12,
        "issued": 6,
        "late": 1,
        "missed": 3,
        "due": 2,
        "share": 0.6,
    }
    whole = client.json(f"{API}/slots/coverage", **{"from": "2024-01-01"})["items"]
    assert {row["forecaster"]: row["slots"] for row in whole} == {"ewma": 13, "fhs": 12}
    assert client.json(f"{API}/slots/coverage", timeframe="1w")["items"] == []
    assert len(files(client, "/slots/coverage")[0]) == 2


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def scored(world: Any) -> Any:
    """Three forecasters, marked at four cutoffs."""
    for hour in range(4):
        for name, drift in (("ewma", 0.0), ("fhs", 0.002), ("drift", -0.002)):
            world.score(world.issue(forecaster=name, drift=drift), 60_000.0 + 50 * hour)
        world.advance(3600)
    return world


def test_pairs_are_those_of_the_score_package(scored: Any, client: Any) -> None:
    rows = {(row["forecaster"], row["against"]): row for row in client.json(f"{API}/scores/pairs")["items"]}
    found = pairs_of(scored.scores, BoardFilter("live", HOURLY))
    assert len(rows) == 6
    for (left, right), row in rows.items():
        place = found.forecasters.index(left), found.forecasters.index(right)
        assert (row["share"], row["cutoffs"]) == (found.share[place], 4)
        assert row["share"] == 1 - rows[right, left]["share"]
        assert row["share_lo"] <= row["share"] <= row["share_hi"]
    assert client.json(f"{API}/scores/pairs", symbol="EURUSD")["items"] == []
    assert client.json(f"{API}/scores/pairs", bucket="25-120")["items"] == []
    assert len(client.json(f"{API}/scores/pairs", forecaster="fhs")["items"]) == 0
    assert len(files(client, "/scores/pairs")[1]) == 6


def test_calibration_curves_are_those_of_the_score_package(scored: Any, client: Any) -> None:
    rows = client.json(f"{API}/scores/calibration")["items"]
    for one in reliability_of(scored.scores, BoardFilter("live", HOURLY)):
        mine = [row for row in rows if row["forecaster"] == one.forecaster]
        assert [row["level"] for row in mine] == one.levels.tolist()
        assert [row["share"] for row in mine] == one.share.tolist()
        assert {row["n"] for row in mine} == {12}
        assert sum(mine[0]["counts"]) == 12
    assert {row["n"] for row in client.json(f"{API}/scores/calibration", bucket="1")["items"]} == {4}
    assert client.json(f"{API}/scores/calibration", timeframe="1d")["items"] == []
    assert len(files(client, "/scores/calibration")[0]) == 27


@pytest.fixture
def remembered(scored: Any, client: Any) -> list[Snapshot]:
    """Snapshots of fifty days of one board, and one of another."""
    rows = client.json(f"{API}/board")["board"]
    store = BoardStore(scored.engine)
    asked = {"lane": "live", "timeframe": "1h", "group": "all", "stage": "raw"}
    taken = [Snapshot(DUE_NS + day * DAY_NS, asked, rows, f"{day:064x}") for day in range(50)]
    for one in taken:
        store.insert(one)
    store.insert(Snapshot(DUE_NS, asked | {"group": "crypto"}, rows[:1], "0" * 64))
    return taken


def test_pages_of_history_hold_every_row_of_every_day_newest_first(client: Any, remembered: list[Snapshot]) -> None:
    for limit in (1, 2, 7, 1000):
        if limit == 1:
            rows = every_page(client, "/scores/history", limit=limit, **{"from": "2024-06-10"})
            assert len(rows) == 3 * 10
        else:
            rows = every_page(client, "/scores/history", limit=limit)
            expected = [
                (iso(one.as_of_ns), row["forecaster"], one.hash)
                for one in reversed(remembered)
                for row in one.rows
                if row["instrument"] == "all"
            ]
            assert [(row["as_of"], row["forecaster"], row["snapshot"]) for row in rows] == expected


@pytest.mark.usefixtures("remembered")
def test_filters_of_history(client: Any, subtests: pytest.Subtests) -> None:
    expected: list[tuple[dict[str, str], int]] = [
        ({"forecaster": "fhs"}, 50),
        ({"group": "crypto"}, 1),
        ({"group": "equity"}, 0),
        ({"stage": "calibrated"}, 0),
        ({"timeframe": "1d"}, 0),
        ({"symbol": "BTCUSDT", "forecaster": "ewma"}, 50),
        ({"from": "2024-05-03", "to": "2024-05-05"}, 6),
    ]
    for params, count in expected:
        with subtests.test(**params):
            assert len(every_page(client, "/scores/history", **params)) == count
    as_csv, as_parquet, cursor = files(client, "/scores/history?limit=4")
    assert (len(as_csv), len(as_parquet), bool(cursor)) == (4, 4, True)


# --- digests --------------------------------------------------------------------------------------------------------


def test_pages_of_digests_hold_each_day_of_each_lane_once(world: Any, client: Any) -> None:
    days = []
    for _ in range(4):
        world.issue()
        world.issue(lane="backfill", cutoff=iso(world.clock.now_ns() // HOUR_NS * HOUR_NS - HOUR_NS))
        days.append(iso(world.clock.now_ns())[:10])
        world.advance(86_400)
    for day in days:
        DigestStore(world.engine).close_day(day)
    for limit in (1, 3, 100):
        rows = every_page(client, "/ledger/digests", limit=limit)
        assert [(row["day"], row["lane"]) for row in rows] == [
            (day, lane) for day in reversed(days) for lane in ("backfill", "live")
        ]
    live = every_page(client, "/ledger/digests", lane="live", limit=1)
    assert [(row["first_seq"], row["last_seq"]) for row in live] == [(4, 4), (3, 3), (2, 2), (1, 1)]
    assert live[0]["head"] == world.ledger.head("live")[1]
    assert files(client, "/ledger/digests?limit=3")[1] == client.json(f"{API}/ledger/digests", limit=3)["items"]


# --- cursors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["/slots", "/scores/history", "/ledger/digests", "/ledger/export"])
@pytest.mark.parametrize("cursor", ["x", "WzFd", "WzFlMzBd", "WzE4NDQ2NzQ0MDczNzA5NTUxNjE1XQ"])
def test_a_cursor_nobody_gave_is_refused(client: Any, route: str, cursor: str) -> None:
    status = 200 if (route, cursor) == ("/ledger/export", "WzFd") else 400  # [1] is one of its own
    client.json(f"{API}{route}", status, cursor=cursor)
