"""The pool: a naive mean beside it, absent members, weights from later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.clock import Timeframe, parse_instant
from gnomon.errors import Invalid, Refused, Unavailable
from gnomon.forecast.buckets import bucket_of
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.disagreement import Flag, KnownDistances, disagreement, distance, envelope
from gnomon.forecast.ensemble import (
    EnsembleMeta,
    EnsemblePool,
    EqualWeights,
    ForecasterMembers,
    KnownWeights,
    Member,
    Weights,
)
from gnomon.forecast.forecast import LEVELS, Context, context_at
from gnomon.market.synth import synthetic_market
from gnomon.market.tape import History, Series, Tape
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions

NAMES = ("ewma", "seasonal", "momentum")
HOUR = Timeframe.parse("1h")
HORIZON = 30


@pytest.fixture(scope="module")
def contexts() -> list[Context]:
    instruments = [shipped_instruments().find(name) for name in ("BTCUSDT", "ETHUSDT")]
    sessions = {"always": load_sessions("always")}
    first, last = parse_instant("2024-01-01"), parse_instant("2024-02-01")
    bars = synthetic_market(instruments, sessions, HOUR, first, last, seed=3)
    tape = Tape(Series(History(one)) for one in bars)
    return [context_at(tape.as_of(last), one, sessions["always"], HOUR, HORIZON) for one in instruments]


class Given:
    """Members and weights as they are given."""

    def __init__(self, found: list[dict[str, Member]], weights: Weights | None = None) -> None:
        self.found, self.weights = found, weights

    def of(self, asked: object, horizon: int = 0) -> object:  # noqa: ARG002 - both ports at once
        return self.weights if isinstance(asked, Context) else self.found


def members(contexts: list[Context]) -> list[dict[str, Member]]:
    return ForecasterMembers(tuple(forecaster(name) for name in NAMES)).of(contexts, HORIZON)


def weights(context: Context, fitted_at_ns: int | None = None) -> Weights:
    shares = ({"ewma": 0.6, "seasonal": 0.3, "momentum": 0.1}, {"ewma": 1.0}, {}, {"seasonal": 0.5, "momentum": 0.5})
    at_ns = context.data_cutoff_ns if fitted_at_ns is None else fitted_at_ns
    return Weights("crypto", at_ns, at_ns - 1, shares, (40, 40, 0, 12), {}, id=7)


def test_quantiles_are_the_weighted_mean_of_log_quantiles_by_bucket(contexts: list[Context]) -> None:
    given = weights(contexts[0])
    found = members(contexts)
    made = EnsemblePool(Given(found), Given(found, given), eligible=NAMES).predict(contexts, HORIZON)
    for one, mine in zip(made, found, strict=True):
        for step in range(1, HORIZON + 1):
            shares = dict(given.by_bucket[int(bucket_of(step))]) or dict.fromkeys(NAMES, 1.0)
            total = sum(shares.values())
            for q in range(len(LEVELS)):
                logs = {n: np.log(float(np.float32(mine[n].quantiles[step - 1, q]))) for n in NAMES}
                expected = np.exp(sum(shares.get(n, 0.0) / total * logs[n] for n in NAMES))
                assert one.quantiles[step - 1, q] == pytest.approx(expected, rel=1e-12)
        assert one.weights_id == 7
        assert (np.diff(one.quantiles, axis=1) >= 0).all()
        assert one.params["weights"][1] == {"ewma": 1.0, "seasonal": 0.0, "momentum": 0.0}


def test_what_went_through_the_ledgers_float32_gives_the_same_bytes(contexts: list[Context]) -> None:
    found = members(contexts)
    stored = [
        {n: replace(m, quantiles=m.quantiles.astype(np.float32).astype(np.float64)) for n, m in one.items()}
        for one in found
    ]
    direct = EnsemblePool(Given(found), EqualWeights(), eligible=NAMES).predict(contexts, HORIZON)
    read_back = EnsemblePool(Given(stored), EqualWeights(), eligible=NAMES).predict(contexts, HORIZON)
    assert [one.quantiles.tobytes() for one in direct] == [one.quantiles.tobytes() for one in read_back]


def test_an_absent_member_is_dropped_with_the_reason_and_the_others_share_its_weight(contexts: list[Context]) -> None:
    found = members(contexts)
    del found[0]["ewma"]
    found[0]["momentum"] = replace(found[0]["momentum"], cutoff_ns=0)
    one, other = EnsemblePool(Given(found), Given(found, weights(contexts[0])), eligible=NAMES).predict(
        contexts, HORIZON
    )
    assert one.params["weights"][0] == {"seasonal": 1.0}
    assert set(one.params["left_out"]) == {"ewma", "momentum"}
    assert one.warnings == ("a pool of one member is that member",)
    assert other.params["left_out"] == {}
    with pytest.raises(Unavailable, match="no member"):
        EnsemblePool(Given([{}]), EqualWeights(), eligible=NAMES).predict(contexts[:1], HORIZON)


def test_weights_from_after_the_cutoff_are_refused(contexts: list[Context]) -> None:
    found = members(contexts)
    late = weights(contexts[0], contexts[0].data_cutoff_ns + 1)
    with pytest.raises(Refused, match="only what was known"):
        raise_hint(lambda: EnsemblePool(Given(found), Given(found, late), eligible=NAMES).predict(contexts, HORIZON))


def raise_hint(call: object) -> None:
    try:
        call()  # type: ignore[operator]  # a function of the test above
    except Refused as error:
        raise Refused(f"{error.message}: {error.hint}") from None


def test_batch_order_and_version_are_what_they_should_be(contexts: list[Context]) -> None:
    pool = EnsemblePool(ForecasterMembers(tuple(map(forecaster, NAMES))), EqualWeights(), eligible=NAMES)
    both = pool.predict(contexts, HORIZON)
    turned = pool.predict(contexts[::-1], HORIZON)[::-1]
    alone = [pool.predict([one], HORIZON)[0] for one in contexts]
    for made in (turned, alone):
        assert [one.quantiles.tobytes() for one in made] == [one.quantiles.tobytes() for one in both]
    smaller = EnsemblePool(ForecasterMembers(()), EqualWeights(), eligible=NAMES[:2])
    assert smaller.version != pool.version
    assert EnsemblePool(ForecasterMembers(()), EqualWeights(), eligible=NAMES[::-1]).version == pool.version
    with pytest.raises(Invalid, match="level"):
        pool.predict(contexts, HORIZON, levels=(0.123,))


def test_weights_survive_json(contexts: list[Context]) -> None:
    made = weights(contexts[0])
    assert Weights.from_document(made.document(), id=7) == made


def test_the_chance_of_a_rise_is_read_from_the_pooled_curve(contexts: list[Context]) -> None:
    for one in EnsemblePool(Given(members(contexts)), eligible=NAMES).predict(contexts, HORIZON):
        for curve, chance in zip(one.quantiles, one.p_up, strict=True):
            for level, quantile in zip(LEVELS, curve, strict=True):
                assert quantile <= one.base_price or chance >= 1 - level - 1e-12
                assert quantile >= one.base_price or chance <= 1 - level + 1e-12


def test_a_pool_of_one_member_is_that_member_to_the_byte(contexts: list[Context]) -> None:
    found = members(contexts)
    made = EnsemblePool(Given([{"ewma": one["ewma"]} for one in found]), eligible=NAMES).predict(contexts, HORIZON)
    for one, mine in zip(made, found, strict=True):
        assert one.quantiles.astype(np.float32).tobytes() == mine["ewma"].quantiles.astype(np.float32).tobytes()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cutoff_ns": 0}, "its cutoff is 1970"),
        ({"base_price": 1.0}, "its last close is 1.0"),
        ({"levels": (0.1, 0.5, 0.9), "quantiles": np.ones((HORIZON, 3))}, "its levels are others"),
        ({"quantiles": np.ones((5, len(LEVELS)))}, "its horizon is 5"),
        ({"version": "0-old"}, "the weights are about its version"),
    ],
)
def test_a_member_that_is_not_like_the_others_is_left_out_with_the_reason(
    contexts: list[Context], changed: dict[str, object], reason: str
) -> None:
    found = members(contexts[:1])
    versions = {name: one.version for name, one in found[0].items()}
    given = replace(weights(contexts[0]), versions=versions)
    found[0]["seasonal"] = replace(found[0]["seasonal"], **changed)
    (made,) = EnsemblePool(Given(found), Given(found, given), eligible=NAMES).predict(contexts[:1], HORIZON)
    assert made.params["left_out"]["seasonal"].startswith(reason)
    assert set(made.params["members"]) == {"ewma", "momentum"}


def test_weights_may_know_nobody_who_is_there_and_then_all_are_equal(contexts: list[Context]) -> None:
    found = members(contexts[:1])
    given = replace(weights(contexts[0]), by_bucket=({"fhs": 1.0},) * 4)
    (made,) = EnsemblePool(Given(found), Given(found, given), eligible=NAMES).predict(contexts[:1], HORIZON)
    assert made.params["weights"][0] == dict.fromkeys(NAMES, 0.333333)


def test_a_member_that_is_left_out_of_the_weights_is_left_out_of_the_pool_and_the_row_says_so(
    contexts: list[Context],
) -> None:
    found = members(contexts[:1])
    reason = "its 80 % band covered 12% of 200 targets"
    two = {"ewma": 0.5, "seasonal": 0.5}
    given = replace(weights(contexts[0]), by_bucket=(two,) * 4, left_out={"momentum": reason})
    (made,) = EnsemblePool(Given(found), Given(found, given), eligible=NAMES).predict(contexts[:1], HORIZON)
    assert made.params["left_out"] == {"momentum": reason}
    assert set(made.params["members"]) == {"ewma", "seasonal"}
    assert made.params["fitted_at"].startswith("2024-02-01")


def test_known_weights_are_the_newest_of_the_class_by_the_cutoff(contexts: list[Context]) -> None:
    context = contexts[0]
    at_ns = context.data_cutoff_ns
    fits = [weights(context, at_ns - 20), weights(context, at_ns), weights(context, at_ns + 1)]
    fits.append(replace(weights(context, at_ns), scope="equity"))
    assert KnownWeights(fits).of(context) == fits[1]
    assert KnownWeights(fits[2:]).of(context) is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"scope": "x", "fitted_at_ns": 1, "fitted_until_ns": 1, "by_bucket": [{}], "windows": [], "left_out": {}},
        {
            "scope": "x",
            "fitted_at_ns": 1,
            "fitted_until_ns": 1,
            "windows": [],
            "left_out": {},
            "by_bucket": [{"ewma": float("nan")}] * 4,
        },
    ],
)
def test_a_document_that_is_no_weights_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="not weights"):
        Weights.from_document(document)


# --- the flag -----------------------------------------------------------------------------------------------------


def apart(contexts: list[Context], share: float = 0.4) -> list[dict[str, Member]]:
    """Members of whom two point opposite ways, by more than a quarter of the band."""
    found = members(contexts)
    for one in found:
        for name, sign in (("seasonal", 1.0), ("momentum", -1.0)):
            curve = one[name].quantiles
            band = np.log(curve[:, LEVELS.index(0.9)] / curve[:, LEVELS.index(0.1)])
            one[name] = replace(one[name], quantiles=curve * np.exp(sign * share * band)[:, None])
    return found


def test_a_raised_flag_widens_the_pool_to_the_envelope_and_keeps_its_median(contexts: list[Context]) -> None:
    found = apart(contexts)
    flag = Flag("seasonal", "momentum", KnownDistances())
    plain = EnsemblePool(Given(found), eligible=NAMES)
    widened = EnsemblePool(Given(found), eligible=NAMES, flag=flag)
    told = EnsemblePool(Given(found), eligible=NAMES, flag=replace(flag, on_disagree="flag"))
    assert len({plain.version, widened.version, told.version}) == 3
    for mine, was, wide, said in zip(
        found, *(pool.predict(contexts, HORIZON) for pool in (plain, widened, told)), strict=True
    ):
        curves = np.stack([mine[n].quantiles.astype(np.float32).astype(np.float64) for n in NAMES])
        middle = was.at_level(0.5)
        assert np.array_equal(wide.quantiles, envelope(curves, LEVELS, middle))
        assert np.array_equal(wide.at_level(0.5), middle)
        assert said.quantiles.tobytes() == was.quantiles.tobytes()
        for one in (wide, said):
            assert one.params["disagreement"]["raised"]
            assert one.params["disagreement"]["pair"] == ["seasonal", "momentum"]
            assert "opposite ways" in one.warnings[0]


def test_a_flag_that_is_down_changes_no_byte_and_leaves_its_distance_for_later(contexts: list[Context]) -> None:
    found = members(contexts)
    known = KnownDistances()
    watched = EnsemblePool(Given(found), eligible=NAMES, flag=Flag("ewma", "momentum", known))
    for mine, context, one, plain in zip(
        found,
        contexts,
        watched.predict(contexts, HORIZON),
        EnsemblePool(Given(found), eligible=NAMES).predict(contexts, HORIZON),
        strict=True,
    ):
        assert one.quantiles.tobytes() == plain.quantiles.tobytes()
        said = one.params["disagreement"]
        assert not said["raised"]
        curves = [mine[n].quantiles.astype(np.float32).astype(np.float64) for n in ("ewma", "momentum")]
        assert said["distance"] == distance(*curves, LEVELS)
        assert disagreement(*curves, LEVELS, context.base_price, np.zeros(100)).is_raised


def test_a_watched_member_that_is_absent_raises_nothing(contexts: list[Context]) -> None:
    found = [{n: m for n, m in one.items() if n != "momentum"} for one in apart(contexts)]
    pool = EnsemblePool(Given(found), eligible=NAMES, flag=Flag("seasonal", "momentum", KnownDistances()))
    assert all("disagreement" not in one.params for one in pool.predict(contexts, HORIZON))


# --- the pool with a learner --------------------------------------------------------------------------------------


class Says:
    """A learner that says one number, and the port that finds it."""

    digest = "d"
    members = NAMES

    def __init__(self, chance: float, fitted_until_ns: int = 0) -> None:
        self.chance, self.fitted_until_ns = chance, fitted_until_ns

    def of(self, context: Context) -> Says:  # noqa: ARG002 - the port's signature
        return self

    def chance_up(self, rows: np.ndarray) -> np.ndarray:
        assert rows.shape == (1, 2 * len(NAMES) + 5)
        return np.full(1, self.chance)


class Nobody:
    def of(self, context: Context) -> None:  # noqa: ARG002 - the port's signature
        return None


def meta(found: list[dict[str, Member]], chance: float | None, **more: object) -> EnsembleMeta:
    learners = Nobody() if chance is None else Says(chance)
    return EnsembleMeta(Given(found), None, learners, eligible=NAMES, **more)  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("chance", "served"),
    [(0.5499999, "envelope"), (0.55, "blend"), (0.45, "blend"), (0.4500001, "envelope"), (0.5, "envelope")],
)
def test_below_a_confidence_of_55_percent_the_widest_envelope_is_served(
    contexts: list[Context], chance: float, served: str
) -> None:
    found = apart(contexts)
    for one, mine in zip(meta(found, chance).predict(contexts, HORIZON), found, strict=True):
        assert one.params["served"] == served
        assert one.params["learner"]["p_up"] == chance
        curves = np.stack([mine[n].quantiles.astype(np.float32).astype(np.float64) for n in NAMES])
        assert np.array_equal(one.quantiles, envelope(curves, LEVELS)) == (served == "envelope")


def test_members_that_the_learner_contradicts_weigh_half(contexts: list[Context]) -> None:
    """ewma makes no call and keeps its weight; momentum points down and loses half where the learner says up."""
    found = apart(contexts)
    for one in meta(found, 0.8).predict(contexts, HORIZON):
        assert one.params["weights"][0] == {"ewma": 0.4, "seasonal": 0.4, "momentum": 0.2}
    for one in meta(found, 0.2).predict(contexts, HORIZON):
        assert one.params["weights"][0] == {"ewma": 0.4, "seasonal": 0.2, "momentum": 0.4}


def test_without_a_learner_the_pool_is_served_and_the_row_says_so(contexts: list[Context]) -> None:
    found = members(contexts)
    pooled = EnsemblePool(Given(found), eligible=NAMES).predict(contexts, HORIZON)
    for one, plain in zip(meta(found, None).predict(contexts, HORIZON), pooled, strict=True):
        assert one.quantiles.tobytes() == plain.quantiles.tobytes()
        assert one.params["served"] == "pool"
        assert any("too few labels" in note for note in one.warnings)
        assert (one.forecaster, plain.forecaster) == ("ensemble-meta", "ensemble-pool")


def test_a_learner_from_after_the_cutoff_is_refused(contexts: list[Context]) -> None:
    learners = Says(0.9, contexts[0].data_cutoff_ns + 1)
    with pytest.raises(Refused, match="a learner fitted until"):
        EnsembleMeta(Given(members(contexts)), None, learners, eligible=NAMES).predict(contexts, HORIZON)  # type: ignore[arg-type]  # a stand-in


def test_whether_events_are_looked_at_is_part_of_the_version(contexts: list[Context]) -> None:
    found = members(contexts)
    assert meta(found, 0.5).version != meta(found, 0.5, events=lambda context: True).version  # noqa: ARG005 - the port
