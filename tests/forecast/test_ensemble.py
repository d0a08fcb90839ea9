"""The pool: a naive mean beside it, absent members, weights from later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.clock import Timeframe, parse_instant
from gnomon.errors import Invalid, Refused, Unavailable
from gnomon.forecast.buckets import bucket_of
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.ensemble import EnsemblePool, EqualWeights, ForecasterMembers, Member, Weights
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
