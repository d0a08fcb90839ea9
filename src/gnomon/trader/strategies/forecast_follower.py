"""Followers of forecasts: the seed's rule, a sizer by the band, a rotation by rank."""

from __future__ import annotations

from gnomon.errors import Unavailable
from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar
from gnomon.trader.market import Issued
from gnomon.trader.params import among, between
from gnomon.trader.trader import Strategy
from gnomon.units import DAY_NS


class ForecastFollower(Strategy):
    """Buy when the next step's median is above the last close by `rise`, sell when it is below by `fall`, else hold."""

    class Params:
        forecaster: str = "ewma"
        rise: float = among(0.02, 0.01, 0.03)
        fall: float = among(0.01, 0.005, 0.02)

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        for name in bar.candles:
            issued = desk.forecast(self.params.forecaster, name)
            if issued is None:
                continue
            change = issued.median() / issued.forecast.base_price - 1
            held = desk.position_lots(name)
            if change > self.params.rise and not held and not desk.orders():
                desk.buy(name, pct=100 / len(desk.instruments()))
            elif change < -self.params.fall and held:
                desk.close(name)


class BandSizer(Strategy):
    """Long when P(up) is above one half by `edge`: all in at an 80 % band of `width`, less at a wider one. Half of that
    in the day before a decision of the Fed or a print of the CPI, in a session with a calendar."""

    class Params:
        forecaster: str = "ewma"
        edge: float = between(0.02, 0.0, 0.5, 0.01)
        width: float = between(0.02, 0.001, 1.0, 0.005)

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        part = 1 / len(desk.instruments())
        caution = 0.5 if _is_news_near(desk) else 1.0
        weights: dict[str, float] = {}
        for listing in desk.instruments():
            issued = desk.forecast(self.params.forecaster, listing.id) if listing.id in bar.candles else None
            if issued is None or issued.p_up() <= 0.5 + self.params.edge:
                continue
            band = (issued.quantile(0.9) - issued.quantile(0.1)) / issued.median()
            weights[listing.id] = part * caution * min(1.0, self.params.width / max(band, 1e-9))
        desk.target(weights)


def _is_news_near(desk: Desk) -> bool:
    try:
        return bool(desk.calendar(("fomc", "cpi"), ahead=DAY_NS, back=1))
    except Unavailable:  # a session may be without one: then every day is like another
        return False


class Rotate(Strategy):
    """Equal sleeves of the `n` instruments whose forecasts rank highest by the median return to the last step."""

    class Params:
        forecaster: str = "ewma"
        n: int = between(3, 1, 100, 1)

    def on_bar(self, desk: Desk, _bar: Bar) -> None:
        ranked = []
        for listing in desk.instruments():
            issued = desk.forecast(self.params.forecaster, listing.id)
            if issued is not None and desk.price(listing.id) is not None:
                ranked.append((-_promise(issued), listing.number, listing.id))
        best = [name for _, _, name in sorted(ranked)[: self.params.n]]
        if best:
            desk.target(dict.fromkeys(best, 1 / self.params.n))


def _promise(issued: Issued) -> float:
    """The median return from the last close to the last step."""
    return issued.median(issued.forecast.horizon) / issued.forecast.base_price - 1
