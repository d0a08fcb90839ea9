"""The pool: a forecaster whose quantiles are weighted means of its members' log quantiles, level by level.

Members share the cutoff. An absent one is dropped and the weights of the others renormalised; the forecast's params say
who was in, with which weight, and who was left out and why. Curves go through float32 first, as the ledger stores them,
so that a pool of forecasts in memory and one of the same forecasts read back are equal to the byte.

Source: Vincentisation (quantile averaging); weights by `score.weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from gnomon.clock import iso
from gnomon.errors import Invalid, Refused, Unavailable
from gnomon.forecast.buckets import BUCKETS, bucket_of
from gnomon.forecast.forecast import LEVELS, Context, Forecast, Role
from gnomon.forecast.forecaster import Forecaster, Traits, version_of
from gnomon.forecast.quantiles import in_order
from gnomon.units import FloatArray

SEMANTICS: Final = 1


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
    """Weights by horizon bucket, in the order of BUCKETS, and when they were fitted. `id` is 0 until stored."""

    scope: str
    fitted_at_ns: int
    fitted_until_ns: int
    by_bucket: tuple[Mapping[str, float], ...]
    windows: tuple[int, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    id: int = 0

    def document(self) -> dict[str, Any]:
        """JSON that `from_document` reads back to equal weights, but for the id."""
        return {
            "scope": self.scope,
            "fitted_at_ns": self.fitted_at_ns,
            "fitted_until_ns": self.fitted_until_ns,
            "by_bucket": [dict(one) for one in self.by_bucket],
            "windows": list(self.windows),
            "left_out": dict(self.left_out),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, id: int = 0) -> Weights:  # noqa: A002 - the word for it
        return cls(
            scope=document["scope"],
            fitted_at_ns=int(document["fitted_at_ns"]),
            fitted_until_ns=int(document["fitted_until_ns"]),
            by_bucket=tuple({str(k): float(v) for k, v in one.items()} for one in document["by_bucket"]),
            windows=tuple(document["windows"]),
            left_out=dict(document["left_out"]),
            id=id,
        )


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


@dataclass(frozen=True, slots=True)
class ForecasterMembers:
    """Members that are asked on the spot, for a pool without a ledger."""

    forecasters: tuple[Forecaster, ...]
    seed: int = 0

    def of(self, contexts: Sequence[Context], horizon: int) -> list[dict[str, Member]]:
        found: list[dict[str, Member]] = [{} for _ in contexts]
        for who in self.forecasters:
            for place, one in zip(found, who.predict(contexts, horizon, seed=self.seed), strict=True):
                place[who.name] = Member(
                    who.name,
                    one.version,
                    one.role,
                    tuple(one.levels),
                    one.quantiles,
                    one.p_up,
                    one.base_price,
                    one.data_cutoff_ns,
                )
        return found


class EnsemblePool:
    """`ensemble-pool`: the weighted mean of log quantiles. `eligible` names who may be a member."""

    def __init__(self, members: Members, weights: WeightsAt, *, eligible: Sequence[str]) -> None:
        self._members, self._weights = members, weights
        self._eligible = tuple(eligible)
        self._version = version_of(SEMANTICS, {"pool": "log-quantiles", "eligible": sorted(eligible)})

    @property
    def name(self) -> str:
        return "ensemble-pool"

    @property
    def version(self) -> str:
        return self._version

    @property
    def traits(self) -> Traits:
        return Traits(role="ensemble", levels=LEVELS)

    def predict(
        self, contexts: Sequence[Context], horizon: int, *, levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> list[Forecast]:
        """One pool a context. `Unavailable` when a context has no member at all, `Refused` for weights from later."""
        absent = [level for level in levels if level not in LEVELS]
        if absent:
            raise Invalid(f"level {absent[0]} is not among the members'", hint=f"levels: {', '.join(map(str, LEVELS))}")
        found = self._members.of(contexts, horizon)
        return [
            self._pool(context, members, horizon, tuple(levels), seed)
            for context, members in zip(contexts, found, strict=True)
        ]

    def _pool(
        self, context: Context, members: Mapping[str, Member], horizon: int, levels: tuple[float, ...], seed: int
    ) -> Forecast:
        weights = self._weights.of(context)
        if weights is not None and weights.fitted_at_ns > context.data_cutoff_ns:
            raise Refused(
                f"weights fitted at {iso(weights.fitted_at_ns)} for a cutoff of {iso(context.data_cutoff_ns)}",
                hint="a forecast may use only what was known at its cutoff",
            )
        left_out = dict(weights.left_out) if weights is not None else {}
        inside: dict[str, Member] = {}
        for name in self._eligible:
            reason = _unfit(members.get(name), context, horizon)
            if reason:
                left_out[name] = reason
            else:
                inside[name] = members[name]
        if not inside:
            raise Unavailable(
                f"no member of {self.name} has forecast {context.instrument} at {iso(context.data_cutoff_ns)}",
                hint=f"issue the members first: {', '.join(self._eligible)}",
                detail={"left_out": left_out},
            )
        shares = [_shares(inside, weights, number) for number in range(len(BUCKETS))]
        by_step = np.array([[one[name] for name in inside] for one in shares])[bucket_of(np.arange(1, horizon + 1))]
        logs = np.log([_stored(one, levels) for one in inside.values()])  # (M, H, Q)
        quantiles, crossings = in_order(np.exp(np.einsum("hm,mhq->hq", by_step, logs)))
        p_up = np.einsum("hm,mh->h", by_step, np.array([one.p_up for one in inside.values()]))
        return Forecast(
            forecaster=self.name,
            version=self.version,
            role="ensemble",
            instrument=context.instrument,
            timeframe=context.timeframe,
            data_cutoff_ns=context.data_cutoff_ns,
            base_price=context.base_price,
            target_open_ns=context.target_open_ns[:horizon],
            target_close_ns=context.target_close_ns[:horizon],
            levels=levels,
            quantiles=quantiles,
            p_up=np.clip(p_up, 0.0, 1.0),
            seed=seed,
            input_hash=context.input_hash(),
            crossings=int(crossings),
            basis=context.basis,
            params={
                "members": {name: one.version for name, one in inside.items()},
                "weights": [{name: round(share, 6) for name, share in one.items()} for one in shares],
                "left_out": left_out,
            },
            warnings=("a pool of one member is that member",) if len(inside) == 1 else (),
            weights_id=weights.id or None if weights is not None else None,
        )


def _unfit(member: Member | None, context: Context, horizon: int) -> str:
    """Why a member cannot be pooled, "" if it can."""
    if member is None:
        return "it has not forecast this cutoff"
    if member.cutoff_ns != context.data_cutoff_ns:
        return f"its cutoff is {iso(member.cutoff_ns)}"
    if len(member.quantiles) < horizon:
        return f"its horizon is {len(member.quantiles)}"
    return "" if set(LEVELS) <= set(member.levels) else "its levels are others"


def _shares(inside: Mapping[str, Member], weights: Weights | None, bucket: int) -> dict[str, float]:
    """The weights of those who are there, summing to one; equal where none of them has one."""
    given = weights.by_bucket[bucket] if weights is not None else {}
    known = {name: given.get(name, 0.0) for name in inside}
    total = sum(known.values())
    return {name: share / total if total > 0.0 else 1.0 / len(known) for name, share in known.items()}


def _stored(member: Member, levels: Sequence[float]) -> FloatArray:
    """The curve (H, Q) as the ledger stores it."""
    columns = [member.levels.index(level) for level in levels]
    return member.quantiles[:, columns].astype(np.float32).astype(np.float64)
