"""Client timestamps in each mode, at their borders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.stamps import StampRule, window_of

MS = 1_000_000
V0, W0 = 1_680_000_000_000 * MS, 1_790_000_000_000 * MS  # a session of 2023, run in 2026


def verdict(rule: StampRule, stamp_ms: int | str, virtual_ns: int, wall_ns: int, window: str | None = None) -> str:
    try:
        rule.check(str(stamp_ms), window, virtual_ns, wall_ns)
    except VenueRefusal as refusal:
        return f"{refusal.code} {'ahead' if 'ahead' in refusal.msg else 'outside' if 'outside' in refusal.msg else ''}"
    return "ok"


@pytest.mark.parametrize(
    ("offset_ms", "expected"),
    [(-5_001, "-1021 outside"), (-5_000, "ok"), (0, "ok"), (999, "ok"), (1_000, "-1021 ahead")],
)
@pytest.mark.parametrize("mode", ["wall", "virtual"])
def test_the_strict_window_has_the_borders_of_the_venue(mode: str, offset_ms: int, expected: str) -> None:
    now_ns = {"wall": W0, "virtual": V0}[mode]
    assert verdict(StampRule(mode), now_ns // MS + offset_ms, V0, W0) == expected


def test_microseconds_and_windows_with_decimals_are_understood() -> None:
    rule = StampRule("wall")
    assert verdict(rule, (W0 // 1_000) - 1_500, V0, W0, "1.5") == "ok"
    assert verdict(rule, (W0 // 1_000) - 1_501, V0, W0, "1.5") == "-1021 outside"


@pytest.mark.parametrize(
    ("window", "code"),
    [("60000", 0), ("60000.001", -1131), ("60001", -1131), ("", -1100), ("1.2345", -1100), ("-1", -1100), ("x", -1100)],
)
def test_a_window_is_at_most_a_minute_and_a_number(window: str, code: int) -> None:
    if code == 0:
        assert window_of(window) == int(window) * MS
        return
    with pytest.raises(VenueRefusal) as caught:
        window_of(window)
    assert caught.value.code == code


@pytest.mark.parametrize("stamp", ["", "abc", "-1", "1.5", "1e12", "9" * 21, "٣"])
def test_what_is_no_number_is_illegal(stamp: str) -> None:
    assert verdict(StampRule("off"), stamp, V0, W0).startswith("-1100")


def test_off_takes_any_number() -> None:
    assert verdict(StampRule("off"), 0, V0, W0) == "ok"


@given(
    st.sampled_from([0.0, 0.5, 1.0, 20.0, 1_000.0]),
    st.integers(0, 86_400_000),
    st.integers(0, 86_400_000),
)
def test_lenient_takes_every_client_that_synchronised_once_at_any_moment(
    pace: float, elapsed_ms: int, synced_ms: int
) -> None:
    synced_ms = min(synced_ms, elapsed_ms)
    rule = StampRule("lenient", V0, W0, pace)
    virtual_ns = V0 + int(elapsed_ms * pace) * MS
    wall_ns = W0 + elapsed_ms * MS
    stamp_ms = V0 // MS + int(synced_ms * pace) + (elapsed_ms - synced_ms)  # V(s) + (W - W(s))
    assert verdict(rule, stamp_ms, virtual_ns, wall_ns) == "ok"
    assert rule.by_wall_alone == 0


def test_lenient_takes_the_wall_and_counts_what_the_wall_alone_let_pass() -> None:
    rule = StampRule("lenient", V0, W0, 1.0)
    assert verdict(rule, W0 // MS, V0, W0) == "ok"
    assert rule.by_wall_alone == 1
    assert verdict(rule, V0 // MS, V0, W0) == "ok"
    assert rule.by_wall_alone == 1


def test_lenient_refuses_what_is_of_neither_clock() -> None:
    rule = StampRule("lenient", V0, W0, 1.0)
    assert verdict(rule, W0 // MS + 1_000, V0, W0) == "-1021 ahead"
    assert verdict(rule, W0 // MS - 5_001, V0, W0) == "-1021 outside"
    assert verdict(rule, V0 // MS - 5_001, V0, W0) == "-1021 outside"
    assert verdict(rule, V0 // MS + 1_000, V0, W0) == "-1021 outside"


def test_at_a_pace_the_band_is_wider_by_it() -> None:
    rule = StampRule("lenient", V0, W0, 20.0)
    assert verdict(rule, V0 // MS - 100_000, V0, W0) == "ok"
    assert verdict(rule, V0 // MS - 100_001, V0, W0) == "-1021 outside"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(Invalid, match="strict"):
        StampRule("strict")


def test_the_first_that_the_wall_alone_let_pass_is_told_once() -> None:
    rule, told = StampRule("lenient", V0, W0, 1.0), []
    rule.on_wall = lambda: told.append(rule.by_wall_alone)
    for stamp_ms in (V0 // MS, W0 // MS, W0 // MS):
        assert verdict(rule, stamp_ms, V0, W0) == "ok"
    assert told == [1]
