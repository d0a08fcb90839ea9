"""A strategy for freqtrade that trades often, by the venue's clock alone: two minutes in, two minutes out."""

from typing import ClassVar

from freqtrade.strategy import IStrategy
from pandas import DataFrame


class MinuteTurns(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = False
    process_only_new_candles = True
    startup_candle_count = 5
    minimal_roi: ClassVar = {"0": 10.0}  # never: by the wall clock every position is years old
    stoploss = -0.5
    use_exit_signal = True

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:  # noqa: ARG002 - its signature
        dataframe["turn"] = dataframe["date"].dt.minute % 4
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:  # noqa: ARG002 - its signature
        dataframe.loc[dataframe["turn"] < 2, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:  # noqa: ARG002 - its signature
        dataframe.loc[dataframe["turn"] >= 2, "exit_long"] = 1
        return dataframe
