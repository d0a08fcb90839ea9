"""A strategy for freqtrade beside a market whose candles are years old: in whenever it may, out some seconds later."""

from datetime import datetime
from typing import ClassVar

from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class QuickTurns(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = False
    startup_candle_count = 5
    minimal_roi: ClassVar = {"0": 10.0}  # never
    stoploss = -0.5

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:  # noqa: ARG002 - its signature
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:  # noqa: ARG002 - its signature
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:  # noqa: ARG002 - its signature
        return dataframe

    def custom_exit(self, trade: Trade, current_time: datetime, **_more: object) -> str | None:
        return "long enough" if (current_time - trade.open_date_utc).total_seconds() > 5 else None
