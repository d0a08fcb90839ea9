"""Binance: its REST market data, and the public archive of its dumps."""
