"""Ensembles: forecasters whose quantiles come from those of their members at the same cutoff.

`ensemble-pool`: per level the weighted mean of the members' log quantiles, with the weights of each step's bucket, then
sorted. An absent member is dropped and the weights of the others renormalised; the forecast's params say who was in,
with which weight, and who was left out and why. Where two members disagree (`forecast.disagreement`) it may serve the
envelope of all. `ensemble-meta`: the same, with the weights of members halved that a learner of direction
(`forecast.meta`) contradicts, and the envelope where that learner is not confident.

Curves go through float32 first, as the ledger stores them, so that a pool of forecasts in memory and one of the same
forecasts read back are equal to the byte. `p_up` is read from the pooled curve, so it agrees with every level.

Source: Vincentisation (quantile averaging); weights by `score.weights`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np

from gnomon.clock import iso
from gnomon.errors import Invalid, Refused, Unavailable
from gnomon.forecast.buckets import BUCKETS, bucket_of
from gnomon.forecast.calibration import chance_above
from gnomon.forecast.disagreement import Disagreement, Flag, disagreement, envelope
from gnomon.forecast.forecast import LEVELS, Context, Forecast, Role
from gnomon.forecast.forecaster import Forecaster, Traits, version_of
from gnomon.forecast.meta import CONFIDENT, LABEL_STEP, SAME_PRICE, Learners, features
from gnomon.forecast.quantiles import in_order
from gnomon.forecast.sanitise import accept
from gnomon.units import FloatArray

SEMANTICS: Final = 1
_TRAITS: Final = Traits(role="ensemble", levels=LEVELS)
_BAND: Final = tuple(LEVELS.index(level) for level in (0.1, 0.5, 0.9))
_SAME_BASE: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """What one member said at a cutoff: quantiles (H, Q) as served, p_up (H,)."""

    name: str
    version: str
    role: Role
    levels: tuple[float, ...]
    quantiles: FloatArray
    p_up: FloatArray
    base_price: float
    cutoff_ns: int


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights by horizon bucket, in the order of BUCKETS, and when they were fitted. `id` is 0 until they are stored.

    `windows`, `losses` and `coverages`, by bucket too, are what they were fitted from. `versions` names the version of
    each member that they are about; a member of another version has no weight.
    """

    scope: str
    fitted_at_ns: int
    fitted_until_ns: int
    by_bucket: tuple[Mapping[str, float], ...]
    windows: tuple[int, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    id: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[Mapping[str, float], ...] = ()
    coverages: tuple[Mapping[str, float], ...] = ()

    def document(self) -> dict[str, Any]:
        """JSON that `from_document` reads back to equal weights, but for the id."""
        return {
            "scope": self.scope,
            "fitted_at_ns": self.fitted_at_ns,
            "fitted_until_ns": self.fitted_until_ns,
            "by_bucket": [dict(one) for one in self.by_bucket],
            "windows": list(self.windows),
            "left_out": dict(self.left_out),
            "versions": dict(self.versions),
            "losses": [dict(one) for one in self.losses],
            "coverages": [dict(one) for one in self.coverages],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, id: int = 0) -> Weights:  # noqa: A002 - the word for it
        """The weights of a document; `Invalid` for what is none."""
        try:
            weights = cls(
                scope=str(document["scope"]),
                fitted_at_ns=int(document["fitted_at_ns"]),
                fitted_until_ns=int(document["fitted_until_ns"]),
                by_bucket=_numbers(document["by_bucket"]),
                windows=tuple(int(one) for one in document["windows"]),
                left_out=dict(document["left_out"]),
                id=id,
                versions=dict(document.get("versions", {})),
                losses=_numbers(document.get("losses", ())),
                coverages=_numbers(document.get("coverages", ())),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Invalid(f"not weights: {error!r}", hint="made by `Weights.document`") from None
        shares = [share for one in weights.by_bucket for share in one.values()]
        if len(weights.by_bucket) != len(BUCKETS) or not all(0.0 <= share < math.inf for share in shares):
            raise Invalid(
                f"not weights: {len(weights.by_bucket)} buckets", hint=f"{len(BUCKETS)}, of numbers from 0 on"
            )
        return weights


def _numbers(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, float], ...]:
    return tuple({str(name): float(value) for name, value in one.items()} for one in rows)


# --- ports --------------------------------------------------------------------------------------------------------


class Members(Protocol):
    """Where a pool finds what its members said."""

    def of(self, contexts: Sequence[Context], horizon: int) -> list[dict[str, Member]]:
        """For each context the members' forecasts from its cutoff, by name."""
        ...


class WeightsAt(Protocol):
    """Where a pool finds its weights."""

    def of(self, context: Context) -> Weights | None:
        """Weights fitted by the context's cutoff; None for equal ones."""
        ...


class EqualWeights:
    """Nobody is better, as far as is known."""

    def of(self, context: Context) -> Weights | None:  # noqa: ARG002 - the port's signature
        return None


class KnownWeights:
    """Fits in memory: each context gets the newest of its asset class that had been made by its cutoff."""

    def __init__(self, fits: Iterable[Weights]) -> None:
        self._fits = sorted(fits, key=lambda one: one.fitted_at_ns, reverse=True)

    def of(self, context: Context) -> Weights | None:
        known = (one for one in self._fits if one.fitted_at_ns <= context.data_cutoff_ns)
        return next((one for one in known if one.scope == context.asset_class), None)


@dataclass(frozen=True, slots=True)
class ForecasterMembers:
    """Members that are asked on the spot, for a pool without a ledger. The seed is theirs, whatever the pool's."""

    forecasters: tuple[Forecaster, ...]
    seed: int = 0

    def of(self, contexts: Sequence[Context], horizon: int) -> list[dict[str, Member]]:
        found: list[dict[str, Member]] = [{} for _ in contexts]
        for who in self.forecasters:
            for place, one in zip(found, who.predict(contexts, horizon, seed=self.seed), strict=True):
                place[who.name] = member_of(one)
        return found


def member_of(forecast: Forecast) -> Member:
    """A forecast as a pool reads it."""
    return Member(
        name=forecast.forecaster,
        version=forecast.version,
        role=forecast.role,
        levels=tuple(forecast.levels),
        quantiles=forecast.quantiles,
        p_up=forecast.p_up,
        base_price=forecast.base_price,
        cutoff_ns=forecast.data_cutoff_ns,
    )


# --- who is in, and with which weight -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered:
    """The members of one context: curves (M, H, Q) as stored, at LEVELS, and a share of each by bucket."""

    names: tuple[str, ...]
    versions: Mapping[str, str]
    curves: FloatArray
    shares: tuple[Mapping[str, float], ...]
    left_out: Mapping[str, str]
    weights: Weights | None

    def curve(self) -> FloatArray:
        """The weighted mean of the log quantiles (H, Q), not sorted. A member that has all the weight is that curve."""
        horizon = self.curves.shape[1]
        by_step = np.array([[one[name] for name in self.names] for one in self.shares])
        by_step = by_step[bucket_of(np.arange(1, horizon + 1))]  # (H, M)
        total = np.zeros(self.curves.shape[1:])
        for share, logs in zip(by_step.T, np.log(self.curves), strict=True):
            total += share[:, None] * logs
        pooled = np.exp(total)
        for share, curve in zip(by_step.T, self.curves, strict=True):
            pooled = np.where((share == 1.0)[:, None], curve, pooled)
        return pooled

    def weighed(self, factor: Mapping[str, float]) -> _Gathered:
        """The same members with other weights, renormalised."""
        scaled = [{name: share * factor[name] for name, share in one.items()} for one in self.shares]
        return replace(self, shares=tuple(_normal(one) for one in scaled))

    def params(self) -> dict[str, Any]:
        """What the row of the ledger says of them; weights of the buckets within the horizon."""
        used = int(bucket_of(self.curves.shape[1])) + 1
        said: dict[str, Any] = {
            "members": dict(self.versions),
            "weights": [{name: round(share, 6) for name, share in one.items()} for one in self.shares[:used]],
            "left_out": dict(self.left_out),
        }
        if self.weights is not None:
            said["fitted_at"] = iso(self.weights.fitted_at_ns)
        return said

    @property
    def notes(self) -> tuple[str, ...]:
        return ("a pool of one member is that member",) if len(self.names) == 1 else ()


def _gather(
    who: str,
    members: Mapping[str, Member],
    context: Context,
    horizon: int,
    eligible: Sequence[str],
    fit: Weights | None,
) -> _Gathered:
    """Who of the eligible is in. `Refused` for weights from later, `Unavailable` when nobody is."""
    if fit is not None and fit.fitted_at_ns > context.data_cutoff_ns:
        raise Refused(
            f"weights fitted at {iso(fit.fitted_at_ns)} for a cutoff of {iso(context.data_cutoff_ns)}",
            hint="a forecast may use only what was known at its cutoff",
        )
    left_out = {name: _unfit(members.get(name), context, horizon, fit) for name in eligible}
    inside = [name for name in eligible if not left_out[name]]
    if not inside:
        raise Unavailable(
            f"no member of {who} has forecast {context.instrument} {context.timeframe} at "
            f"{iso(context.data_cutoff_ns)} with a horizon of {horizon}",
            hint=f"issue the members first: {', '.join(eligible)}",
            detail={"left_out": left_out},
        )
    used = int(bucket_of(horizon)) + 1
    given = [{name: one.get(name, 0.0) for name in inside} for one in (fit.by_bucket[:used] if fit else ())]
    if any(share > 0.0 for one in given for share in one.values()):
        reasons = fit.left_out if fit else {}
        left_out |= {name: reasons[name] for name in inside if name in reasons}
        for name in [one for one in inside if not any(row[one] > 0.0 for row in given)]:
            inside.remove(name)
            left_out[name] = left_out[name] or "it has no weight yet"
    shares = [_normal({name: one[name] for name in inside}) for one in given]
    shares += [_normal(dict.fromkeys(inside, 0.0))] * (len(BUCKETS) - len(shares))
    return _Gathered(
        names=tuple(inside),
        versions={name: members[name].version for name in inside},
        curves=np.array([_stored(members[name], horizon) for name in inside]),
        shares=tuple(shares),
        left_out={name: reason for name, reason in left_out.items() if reason},
        weights=fit,
    )


def _unfit(member: Member | None, context: Context, horizon: int, fit: Weights | None) -> str:
    """Why a member cannot be pooled, "" if it can."""
    if member is None:
        return "it has not forecast this cutoff"
    if member.cutoff_ns != context.data_cutoff_ns:
        return f"its cutoff is {iso(member.cutoff_ns)}"
    if not math.isclose(member.base_price, context.base_price, rel_tol=_SAME_BASE):
        return f"its last close is {member.base_price}"
    if len(member.quantiles) < horizon:
        return f"its horizon is {len(member.quantiles)}"
    if not set(LEVELS) <= set(member.levels):
        return "its levels are others"
    known = fit.versions.get(member.name, member.version) if fit is not None else member.version
    return "" if known == member.version else f"the weights are about its version {known}, this is {member.version}"


def _normal(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares summing to one; equal where none has any."""
    total = sum(shares.values())
    return {name: share / total if total > 0.0 else 1.0 / len(shares) for name, share in shares.items()}


def _stored(member: Member, horizon: int) -> FloatArray:
    """The curve (H, Q) at LEVELS as the ledger stores it."""
    curve = member.quantiles[:horizon]
    if member.levels != LEVELS:
        curve = curve[:, [member.levels.index(level) for level in LEVELS]]
    return curve.astype(np.float32).astype(np.float64)


# --- the forecasters ----------------------------------------------------------------------------------------------


class EnsemblePool:
    """`ensemble-pool`: the weighted mean of log quantiles. `eligible` names who may be a member, in order."""

    def __init__(
        self,
        members: Members,
        weights: WeightsAt | None = None,
        *,
        eligible: Sequence[str],
        flag: Flag | None = None,
    ) -> None:
        self._members, self._weights = members, weights or EqualWeights()
        self._eligible, self._flag = tuple(eligible), flag
        self._version = version_of(SEMANTICS, {"pool": "log-quantiles", **_identity(self._eligible, flag)})

    @property
    def name(self) -> str:
        return "ensemble-pool"

    @property
    def version(self) -> str:
        return self._version

    @property
    def traits(self) -> Traits:
        return _TRAITS

    def predict(
        self, contexts: Sequence[Context], horizon: int, *, levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> list[Forecast]:
        """One pool a context; the seed is recorded and not used. `Invalid` as `sanitise.accept` says and for levels
        other than LEVELS, `Unavailable` when a context has no member at all, `Refused` for weights from later."""
        accepted = _accept(contexts, horizon, levels)
        if not contexts:
            return []
        found = self._members.of(contexts, horizon)
        pairs = zip(contexts, found, strict=True)
        return [self._pool(context, members, horizon, accepted, seed) for context, members in pairs]

    def _pool(
        self, context: Context, members: Mapping[str, Member], horizon: int, levels: tuple[float, ...], seed: int
    ) -> Forecast:
        inside = _gather(self.name, members, context, horizon, self._eligible, self._weights.of(context))
        curve, params, notes = inside.curve(), inside.params(), inside.notes
        found = _watched(self._flag, inside, context)
        if self._flag is not None and found is not None:
            params["disagreement"] = {"pair": [self._flag.first, self._flag.second], **found.document()}
            if found.is_raised:
                notes += (f"{self._flag.first} and {self._flag.second} disagree: {found.words}",)
            if found.is_raised and self._flag.on_disagree == "widen":
                curve = envelope(inside.curves, LEVELS, np.sort(curve, axis=1)[:, _BAND[1]])
        return _answer(self, context, inside, curve, levels, seed, params, notes)


class EnsembleMeta:
    """`ensemble-meta`: the pool, corrected by a learner of the next bar's direction. Without a learner it is the pool.

    `events` says whether a high-impact event is due in a context; without it none ever is.
    """

    def __init__(
        self,
        members: Members,
        weights: WeightsAt | None,
        learners: Learners,
        *,
        eligible: Sequence[str],
        events: Callable[[Context], bool] | None = None,
    ) -> None:
        self._members, self._weights, self._learners = members, weights or EqualWeights(), learners
        self._eligible, self._events = tuple(eligible), events
        parameters = {"confident": CONFIDENT, "step": LABEL_STEP, "events": events is not None}
        self._version = version_of(SEMANTICS, {"pool": "meta", **parameters, **_identity(self._eligible, None)})

    @property
    def name(self) -> str:
        return "ensemble-meta"

    @property
    def version(self) -> str:
        return self._version

    @property
    def traits(self) -> Traits:
        return _TRAITS

    def predict(
        self, contexts: Sequence[Context], horizon: int, *, levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> list[Forecast]:
        """As `EnsemblePool.predict`; `Refused` too for a learner from later."""
        accepted = _accept(contexts, horizon, levels)
        if not contexts:
            return []
        found = self._members.of(contexts, horizon)
        pairs = zip(contexts, found, strict=True)
        return [self._blend(context, members, horizon, accepted, seed) for context, members in pairs]

    def _blend(
        self, context: Context, members: Mapping[str, Member], horizon: int, levels: tuple[float, ...], seed: int
    ) -> Forecast:
        inside = _gather(self.name, members, context, horizon, self._eligible, self._weights.of(context))
        chance = self._chance_up(context, inside)
        if chance is None:
            note = "too few labels for a learner: this is the pool"
            params = inside.params() | {"served": "pool"}
            return _answer(self, context, inside, inside.curve(), levels, seed, params, (*inside.notes, note))
        learned, confidence = chance
        if confidence < CONFIDENT:
            curve, served = envelope(inside.curves, LEVELS), "envelope"
        else:
            inside = inside.weighed(_halved(inside, context, 1.0 if learned["p_up"] > 0.5 else -1.0))
            curve, served = inside.curve(), "blend"
        params = inside.params() | {"served": served, "learner": learned}
        return _answer(self, context, inside, curve, levels, seed, params, inside.notes)

    def _chance_up(self, context: Context, inside: _Gathered) -> tuple[dict[str, Any], float] | None:
        """What the learner says, for the params, and how confident it is; None where there is none."""
        learner = self._learners.of(context)
        if learner is None:
            return None
        if learner.fitted_until_ns > context.data_cutoff_ns:
            raise Refused(
                f"a learner fitted until {iso(learner.fitted_until_ns)} for a cutoff of {iso(context.data_cutoff_ns)}",
                hint="a forecast may use only what was known at its cutoff",
            )
        bands = {name: curve[LABEL_STEP - 1, _BAND] for name, curve in zip(inside.names, inside.curves, strict=True)}
        is_event = self._events is not None and self._events(context)
        chance = float(learner.chance_up(features(context, learner.members, bands, is_event=is_event)[None])[0])
        said = {"p_up": chance, "hash": learner.digest, "fitted_until": iso(learner.fitted_until_ns)}
        return said, max(chance, 1.0 - chance)


def _halved(inside: _Gathered, context: Context, direction: float) -> dict[str, float]:
    """A factor for each member: a half where its median at the label step goes against the direction."""
    moves = inside.curves[:, LABEL_STEP - 1, _BAND[1]] / context.base_price - 1.0
    against = (np.abs(moves) > SAME_PRICE) & (np.sign(moves) != direction)
    return {name: 0.5 if is_against else 1.0 for name, is_against in zip(inside.names, against, strict=True)}


def _identity(eligible: Sequence[str], flag: Flag | None) -> dict[str, Any]:
    """What makes another version: who may be a member, and what a disagreement does."""
    watched = {} if flag is None else {"flag": [flag.first, flag.second, flag.on_disagree]}
    return {"eligible": sorted(eligible), **watched}


def _accept(contexts: Sequence[Context], horizon: int, levels: Sequence[float]) -> tuple[float, ...]:
    accepted = accept(contexts, horizon, levels, _TRAITS)
    absent = [level for level in accepted if level not in LEVELS]
    if absent:
        raise Invalid(f"level {absent[0]} is not among the members'", hint=f"levels: {', '.join(map(str, LEVELS))}")
    return accepted


def _watched(flag: Flag | None, inside: _Gathered, context: Context) -> Disagreement | None:
    """Whether the two watched members disagree; None where nobody watches or one of them is not in."""
    if flag is None or not {flag.first, flag.second} <= set(inside.names):
        return None
    first, second = (inside.curves[inside.names.index(name)] for name in (flag.first, flag.second))
    found = disagreement(first, second, LEVELS, context.base_price, flag.distances.of(context))
    flag.distances.add(context, found.distance)
    return found


def _answer(
    who: Forecaster,
    context: Context,
    inside: _Gathered,
    curve: FloatArray,
    levels: tuple[float, ...],
    seed: int,
    params: Mapping[str, Any],
    notes: tuple[str, ...],
) -> Forecast:
    horizon = len(curve)
    quantiles, crossings = in_order(curve)
    wanted = quantiles if levels == LEVELS else quantiles[:, [LEVELS.index(level) for level in levels]]
    return Forecast(
        forecaster=who.name,
        version=who.version,
        role="ensemble",
        instrument=context.instrument,
        timeframe=context.timeframe,
        data_cutoff_ns=context.data_cutoff_ns,
        base_price=context.base_price,
        target_open_ns=context.target_open_ns[:horizon],
        target_close_ns=context.target_close_ns[:horizon],
        levels=levels,
        quantiles=wanted,
        p_up=chance_above(quantiles, LEVELS, context.base_price),
        seed=seed,
        input_hash=context.input_hash(),
        crossings=int(crossings),
        information=who.traits.information,
        basis=context.basis,
        params=params,
        warnings=notes,
        weights_id=inside.weights.id or None if inside.weights is not None else None,
    )
