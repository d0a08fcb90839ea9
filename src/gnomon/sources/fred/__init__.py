"""FRED's public CSV: the daily close of the VIX, knowable on the next day of trading."""
